//! `pincow bench cow` on the page.

use super::super::super::super::memory_size::MemorySize;
use super::super::super::report::{micros, ratio};
use super::super::node::{Misfit, Node};
use super::super::rows::{Row, Rows, Track};
use super::super::table::Table;
use super::{Bench, Drawn, Named, Plot, spread, text_of};

pub(super) const BENCH: Bench = Bench {
    name: "cow",
    title: "A clone that writes many pages",
    text: "What a clone's first writes take, scattered or in runs of neighbours: of its own time, and of all \
           CPUs. kernel, the floor: the host kernel's demand copy-on-write under the same payload in a bare \
           virtual machine. plain: a clone of pincow. learned: one for which the pages that clones of the same \
           snapshot wrote before are copied beside its start. ready: the same, when all of that is done. wrong: as learned, when those wrote other pages.",
    draw,
};

const HEADINGS: [&str; 13] = [
    "backing",
    "method",
    "memory",
    "pages",
    "in runs of",
    "n",
    "copied",
    "guest p50 (\u{b5}s)",
    "p99",
    "ratio p50",
    "CPU p50 (\u{b5}s)",
    "p99",
    "ratio p50",
];

/// The method that others are compared with.
const FLOOR: &str = "kernel";

/// What one method took for one pattern.
struct Case {
    method: String,
    memory: u64,
    pages: u64,
    run: u64,
    copied: Vec<f64>,
    guest: Vec<f64>,
    cpu: Vec<f64>,
}

impl Case {
    fn of(node: &Node<'_>) -> Result<Self, Misfit> {
        Ok(Self {
            method: text_of(node, "method")?,
            memory: node.field("memory_bytes")?.count()?,
            pages: node.field("pages")?.count()?,
            run: node.field("run")?.count()?,
            copied: node.samples("copied_samples")?,
            guest: node.samples("guest_samples_us")?,
            cpu: node.samples("cpu_samples_us")?,
        })
    }

    fn is_floor_of(&self, other: &Self) -> bool {
        let pattern = |case: &Self| (case.memory, case.pages, case.run);
        self.method == FLOOR && pattern(self) == pattern(other)
    }

    fn cells(&self, name: &str, floor: &Self) -> Vec<String> {
        let mut cells = vec![name.to_owned(), self.method.clone()];
        cells.push(MemorySize(self.memory).to_string());
        cells.extend([self.pages, self.run].map(|count| count.to_string()));
        cells.push(self.guest.len().to_string());
        cells.push(format!("{:.0}", spread(&self.copied).p50));
        for (ours, floor) in [(&self.guest, &floor.guest), (&self.cpu, &floor.cpu)] {
            cells.extend(micros(spread(ours)));
            cells.push(format!("{:.2}", over(ours, floor)));
        }
        cells
    }

    fn row(&self, run: &Named<'_>, floor: &Self, of: fn(&Self) -> &Vec<f64>) -> Row {
        let pattern = match self.run {
            1 => "scattered".to_owned(),
            run => format!("runs of {run}"),
        };
        let (ours, floor) = (of(self).clone(), of(floor).clone());
        let ratio = Some(over(&ours, &floor));
        Row {
            label: format!("{}, {pattern}, {}", self.method, MemorySize(self.memory)),
            detail: run.with_samples(&ours),
            tracks: vec![
                Some(Track { samples: ours, ratio: None }),
                Some(Track { samples: floor, ratio }),
            ],
        }
    }
}

fn over(ours: &[f64], floor: &[f64]) -> f64 {
    ratio(spread(ours).p50, spread(floor).p50)
}

fn draw(runs: &[Named<'_>]) -> Result<Drawn, Misfit> {
    let mut table = Table::new(2, &HEADINGS);
    let (mut guest, mut cpu) = (Vec::new(), Vec::new());
    for run in runs {
        let nodes = run.run.cases()?;
        let cases = nodes.iter().map(Case::of).collect::<Result<Vec<_>, _>>()?;
        for (case, node) in cases.iter().zip(&nodes) {
            let floor = cases.iter().find(|floor| floor.is_floor_of(case)).ok_or_else(|| {
                node.misfit(format!("there is no case `{FLOOR}` with the same pages"))
            })?;
            table.push(case.cells(&run.name, floor));
            if case.method != FLOOR {
                guest.push(case.row(run, floor, |case| &case.guest));
                cpu.push(case.row(run, floor, |case| &case.cpu));
            }
        }
    }
    let tracks = &["pincow", "floor: the kernel's copies"];
    let guest = Rows {
        title: "The guest's own time for its first writes, by method",
        axis: "time of all writes, \u{b5}s",
        tracks,
        rows: guest,
    };
    let cpu = Rows {
        title: "The CPU time of the same, by method",
        axis: "CPU time of all writes, \u{b5}s",
        tracks,
        rows: cpu,
    };
    // A file may have the floor alone.
    let plots = [guest, cpu].into_iter().filter(|plot| !plot.rows.is_empty());
    Ok(Drawn { plots: plots.map(Plot::Rows).collect(), table })
}
