//! `pincow bench clone` on the page.

use super::super::super::super::memory_size::MemorySize;
use super::super::super::report::{micros, ratio};
use super::super::node::Misfit;
use super::super::rows::{Row, Rows, Track};
use super::super::table::Table;
use super::{Bench, Drawn, Named, Plot, spread};

pub(super) const BENCH: Bench = Bench {
    name: "clone",
    title: "Clones of a snapshot",
    text: "From the call to the first answer of the child's own vCPU, one clone at a time, by guest \
           memory. The floor is a virtual machine made of the bare KVM calls over a mapping of the \
           same bytes: up to its first exit, and up to the same answer.",
    draw,
};

const HEADINGS: [&str; 11] = [
    "backing",
    "memory",
    "n",
    "clone p50 (\u{b5}s)",
    "p99",
    "floor p50",
    "p99",
    "ratio p50",
    "p99",
    "floor to answer p50",
    "ratio",
];

fn draw(runs: &[Named<'_>]) -> Result<Drawn, Misfit> {
    let mut table = Table::new(2, &HEADINGS);
    let mut rows = Vec::new();
    for run in runs {
        for case in run.run.cases()? {
            let memory = MemorySize(case.field("memory_bytes")?.count()?).to_string();
            let ours = case.samples("clone_samples_us")?;
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
        title: "How long a clone takes",
        axis: "from the call to the child's answer, \u{b5}s",
        tracks: &["pincow", "floor, to the first exit", "floor, to the answer"],
        rows,
    };
    Ok(Drawn { plots: vec![Plot::Rows(plot)], table })
}
