//! `pincow bench fault` on the page.

use super::super::super::super::memory_size::MemorySize;
use super::super::super::report::{micros, ratio};
use super::super::node::Misfit;
use super::super::rows::{Row, Rows, Track};
use super::super::table::Table;
use super::{Bench, Drawn, Named, Plot, spread, text_of};

pub(super) const BENCH: Bench = Bench {
    name: "fault",
    title: "A first write to a shared page",
    text: "What a guest's first write to a page costs, mean of the pages of a sample. copy: the parent \
           lives, so that the write gets a copy. reuse: the parent is gone, so that the write may have \
           the page as it is. The floor is the host kernel's own copy-on-write under the same payload \
           in a bare virtual machine.",
    draw,
};

const HEADINGS: [&str; 11] = [
    "backing",
    "case",
    "memory",
    "pages",
    "n",
    "fault p50 (\u{b5}s)",
    "p99",
    "kernel copy p50",
    "p99",
    "ratio p50",
    "p99",
];

fn draw(runs: &[Named<'_>]) -> Result<Drawn, Misfit> {
    let mut table = Table::new(3, &HEADINGS);
    let mut rows = Vec::new();
    for run in runs {
        for case in run.run.cases()? {
            let kind = text_of(&case, "case")?;
            let memory = MemorySize(case.field("memory_bytes")?.count()?).to_string();
            let pages = case.field("pages")?.count()?;
            let (ours, floor) = (case.samples("samples_us")?, case.samples("floor_samples_us")?);
            let (us, kernel) = (spread(&ours), spread(&floor));
            let (half, slow) = (ratio(us.p50, kernel.p50), ratio(us.p99, kernel.p99));
            let mut cells = vec![run.name.clone(), kind.clone(), memory.clone()];
            cells.extend([pages.to_string(), ours.len().to_string()]);
            cells.extend(micros(us));
            cells.extend(micros(kernel));
            cells.extend([half, slow].map(|ratio| format!("{ratio:.2}")));
            table.push(cells);
            rows.push(Row {
                label: format!("{kind}, {memory}"),
                detail: run.with_samples(&ours),
                tracks: vec![
                    Some(Track { samples: ours, ratio: None }),
                    Some(Track { samples: floor, ratio: Some(half) }),
                ],
            });
        }
    }
    let plot = Rows {
        title: "What a first write costs, by method",
        axis: "time of a first write to a page, \u{b5}s",
        tracks: &["pincow", "floor: the kernel's copy"],
        rows,
    };
    Ok(Drawn { plots: vec![Plot::Rows(plot)], table })
}
