//! `pincow bench blk` on the page.

use super::super::super::super::memory_size::MemorySize;
use super::super::super::super::spread::Range;
use super::super::node::{Misfit, Node};
use super::super::rows::{Row, Rows, Track};
use super::super::table::Table;
use super::super::text::figures;
use super::{Bench, Drawn, Named, Plot, text_of};

pub(super) const BENCH: Bench = Bench {
    name: "blk",
    title: "Disk transfers of a guest",
    text: "Transfers in a second, in turns of about 100 ms, by direction, length and how many are in \
           flight. The floor is a bare io_uring loop of the host on the same file. Here more is \
           better: a ratio of 1 is as fast as the host. Beside it in the table, what only the guest \
           has, per transfer.",
    draw,
};

const HEADINGS: [&str; 13] = [
    "backing",
    "direction",
    "block",
    "depth",
    "n",
    "guest IOPS p50",
    "min-max",
    "bare IOPS p50",
    "min-max",
    "ratio p50",
    "min-max",
    "doorbells",
    "CPU (\u{b5}s)",
];

/// One direction, length and depth.
struct Case {
    direction: String,
    block: MemorySize,
    depth: u64,
    /// Transfers in a second, turn by turn.
    guest: Vec<f64>,
    bare: Vec<f64>,
    doorbells: f64,
    cpu_us: f64,
}

impl Case {
    fn of(case: &Node<'_>) -> Result<Self, Misfit> {
        let transfers = case.field("transfers")?.count()? as f64;
        let iops = |name: &str| {
            let turns = case.samples(name)?;
            Ok(turns.iter().map(|us| transfers / (us / 1e6).max(1e-9)).collect::<Vec<_>>())
        };
        Ok(Self {
            direction: text_of(case, "direction")?,
            block: MemorySize(case.field("block_bytes")?.count()?),
            depth: case.field("depth")?.count()?,
            guest: iops("guest_samples_us")?,
            bare: iops("bare_samples_us")?,
            doorbells: case.field("doorbells_per_transfer")?.number()?,
            cpu_us: case.field("disk_thread_us_per_transfer")?.number()?,
        })
    }

    /// Turn by turn, since both follow each other closely.
    fn ratio(&self) -> Range {
        let turns = self.guest.iter().zip(&self.bare);
        Range::of(turns.map(|(guest, bare)| if *bare > 0.0 { guest / bare } else { 0.0 }), 3)
    }

    fn cells(&self, run: &Named<'_>) -> Vec<String> {
        let iops = |samples: &[f64]| {
            let range = Range::of(samples.iter().copied(), 0);
            [figures(range.p50), format!("{}-{}", figures(range.min), figures(range.max))]
        };
        let ratio = self.ratio();
        let mut cells = vec![run.name.clone(), self.direction.clone(), self.block.to_string()];
        cells.extend([self.depth.to_string(), self.guest.len().to_string()]);
        cells.extend(iops(&self.guest));
        cells.extend(iops(&self.bare));
        cells.extend([format!("{:.2}", ratio.p50), format!("{:.2}-{:.2}", ratio.min, ratio.max)]);
        cells.extend([format!("{:.2}", self.doorbells), format!("{:.1}", self.cpu_us)]);
        cells
    }
}

fn draw(runs: &[Named<'_>]) -> Result<Drawn, Misfit> {
    let mut table = Table::new(3, &HEADINGS);
    let mut rows = Vec::new();
    for run in runs {
        for case in run.run.cases()? {
            let case = Case::of(&case)?;
            table.push(case.cells(run));
            let ratio = case.ratio().p50;
            rows.push(Row {
                label: format!("{} {} \u{d7} {}", case.direction, case.block, case.depth),
                detail: run.with_samples(&case.guest),
                tracks: vec![
                    Some(Track { samples: case.guest, ratio: None }),
                    Some(Track { samples: case.bare, ratio: Some(ratio) }),
                ],
            });
        }
    }
    let plot = Rows {
        title: "Transfers in a second; more is better",
        axis: "transfers in a second (IOPS)",
        tracks: &["pincow: in the guest", "floor: bare io_uring"],
        rows,
    };
    Ok(Drawn { plots: vec![Plot::Rows(plot)], table })
}
