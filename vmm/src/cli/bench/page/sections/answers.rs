//! Benchmarks that wait for the first answer of a guest that is made, on the page.

use super::super::super::super::memory_size::MemorySize;
use super::super::super::report::{micros, ratio};
use super::super::node::Misfit;
use super::super::rows::{Row, Rows, Track};
use super::super::table::Table;
use super::{Drawn, Named, Plot, spread};

/// What is made.
pub(super) struct Made {
    /// The field with pincow's samples.
    pub(super) samples: &'static str,
    /// Of the plot.
    pub(super) title: &'static str,
    pub(super) axis: &'static str,
    /// Of the table.
    pub(super) headings: [&'static str; 11],
}

impl Made {
    /// The headings of a table in which pincow's times stand in the column `ours`.
    pub(super) const fn headings(ours: &'static str) -> [&'static str; 11] {
        [
            "backing",
            "memory",
            "n",
            ours,
            "p99",
            "floor p50",
            "p99",
            "ratio p50",
            "p99",
            "floor to answer p50",
            "ratio",
        ]
    }
}

pub(super) fn draw(runs: &[Named<'_>], made: &'static Made) -> Result<Drawn, Misfit> {
    let mut table = Table::new(2, &made.headings);
    let mut rows = Vec::new();
    for run in runs {
        for case in run.run.cases()? {
            let memory = MemorySize(case.field("memory_bytes")?.count()?).to_string();
            let ours = case.samples(made.samples)?;
            let floor = case.samples("floor_samples_us")?;
            let to_answer = case.samples("floor_to_answer_samples_us")?;
            let [us, exit, answer] = [&ours, &floor, &to_answer].map(|samples| spread(samples));
            let ratios = [(us.p50, exit.p50), (us.p99, exit.p99), (us.p50, answer.p50)];
            let [half, slow, like] = ratios.map(|(ours, floor)| ratio(ours, floor));
            let mut cells = vec![run.name.clone(), memory.clone(), ours.len().to_string()];
            cells.extend(micros(us));
            cells.extend(micros(exit));
            cells.extend([half, slow].map(|ratio| format!("{ratio:.2}")));
            cells.extend([micros(answer)[0].clone(), format!("{like:.2}")]);
            table.push(cells);
            rows.push(Row {
                label: memory,
                detail: run.with_samples(&ours),
                tracks: vec![
                    Some(Track { samples: ours, ratio: None }),
                    Some(Track { samples: floor, ratio: Some(half) }),
                    Some(Track { samples: to_answer, ratio: Some(like) }),
                ],
            });
        }
    }
    let plot = Rows {
        title: made.title,
        axis: made.axis,
        tracks: &["pincow", "floor, to the first exit", "floor, to the answer"],
        rows,
    };
    Ok(Drawn { plots: vec![Plot::Rows(plot)], table })
}
