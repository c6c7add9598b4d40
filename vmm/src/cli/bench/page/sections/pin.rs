//! `pincow bench pin` on the page.

use super::super::super::report::ratio;
use super::super::node::Misfit;
use super::super::rows::{Row, Rows, Track};
use super::super::table::Table;
use super::{Bench, Drawn, Named, Plot, spread, text_of};

pub(super) const BENCH: Bench = Bench {
    name: "pin",
    title: "A pin and its end",
    text: "What it costs to pin a frame for a transfer and to let go of it, mean of a sample: one \
           thread, and two that contend for less or more. The floor is an atomic addition and a \
           subtraction.",
    draw,
};

const HEADINGS: [&str; 11] = [
    "backing",
    "case",
    "threads",
    "n",
    "pin p50 (ns)",
    "p99",
    "floor p50",
    "p99",
    "ratio p50",
    "p99",
    "speed-up",
];

fn draw(runs: &[Named<'_>]) -> Result<Drawn, Misfit> {
    let mut table = Table::new(2, &HEADINGS);
    let mut rows = Vec::new();
    for run in runs {
        for case in run.run.cases()? {
            let kind = text_of(&case, "case")?;
            let threads = case.field("threads")?.count()?;
            let speed_up = case.field("speed_up")?.number()?;
            let (ours, floor) = (case.samples("samples_ns")?, case.samples("floor_samples_ns")?);
            let (pin, atomic) = (spread(&ours), spread(&floor));
            let (half, slow) = (ratio(pin.p50, atomic.p50), ratio(pin.p99, atomic.p99));
            let mut cells = vec![run.name.clone(), kind.clone(), threads.to_string()];
            cells.push(ours.len().to_string());
            let times = [pin.p50, pin.p99, atomic.p50, atomic.p99];
            cells.extend(times.map(|time| format!("{time:.1}")));
            cells.extend([half, slow, speed_up].map(|ratio| format!("{ratio:.2}")));
            table.push(cells);
            rows.push(Row {
                label: format!("{kind}, {threads} thread{}", if threads == 1 { "" } else { "s" }),
                detail: run.with_samples(&ours),
                tracks: vec![
                    Some(Track { samples: ours, ratio: None }),
                    Some(Track { samples: floor, ratio: Some(half) }),
                ],
            });
        }
    }
    let plot = Rows {
        title: "What a pin costs",
        axis: "time of a pin and its end, ns",
        tracks: &["pincow", "floor: two atomic operations"],
        rows,
    };
    Ok(Drawn { plots: vec![Plot::Rows(plot)], table })
}
