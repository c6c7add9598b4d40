//! `pincow bench fork` on the page.

use super::super::super::super::memory_size::MemorySize;
use super::super::super::super::spread::Spread;
use super::super::super::report::{micros, ratio};
use super::super::lines::{Lines, Measure, Panel, Point};
use super::super::node::{Misfit, Node};
use super::super::rows::{Row, Rows, Track};
use super::super::table::Table;
use super::{Bench, Drawn, Named, Plot, spread, text_of};

pub(super) const BENCH: Bench = Bench {
    name: "fork",
    title: "Forks of a running guest",
    text: "How long the parent stands still, and when its child first answers, by the memory that it \
           has dirtied since the last fork: neighbouring pages, or every second one. The floor of the \
           pause is the bare calls that kick a vCPU, read its state, write-protect the memory once and \
           go on; that of the child adds a bare virtual machine up to its first exit, or to its answer.",
    draw,
};

const HEADINGS: [&str; 16] = [
    "backing",
    "layout",
    "dirty",
    "memory",
    "n",
    "pause p50 (\u{b5}s)",
    "p99",
    "floor p50",
    "ratio",
    "allowed",
    "child p50",
    "p99",
    "floor p50",
    "ratio",
    "floor to answer p50",
    "ratio",
];

/// One amount of writing.
struct Case {
    layout: String,
    dirty: MemorySize,
    memory: MemorySize,
    pause: Spread,
    floor_pause: Spread,
    /// What the pause should keep to, where that was measured.
    allowed_us: Option<f64>,
    child: Vec<f64>,
    floor: Vec<f64>,
    to_answer: Vec<f64>,
}

impl Case {
    fn of(case: &Node<'_>) -> Result<Self, Misfit> {
        let size = |name: &str| Ok(MemorySize(case.field(name)?.count()?));
        let allowed = case.maybe("steps").map(|steps| steps.field("allowed_pause_us")?.number());
        Ok(Self {
            layout: text_of(case, "layout")?,
            dirty: size("dirty_bytes")?,
            memory: size("memory_bytes")?,
            pause: spread(&case.samples("pause_samples_us")?),
            floor_pause: spread(&case.samples("floor_pause_samples_us")?),
            allowed_us: allowed.transpose()?,
            child: case.samples("child_samples_us")?,
            floor: case.samples("floor_samples_us")?,
            to_answer: case.samples("floor_to_answer_samples_us")?,
        })
    }

    fn cells(&self, run: &Named<'_>) -> Vec<String> {
        let [child, exit, answer] =
            [&self.child, &self.floor, &self.to_answer].map(|samples| spread(samples));
        let over = |ours: Spread, floor: Spread| {
            [micros(floor)[0].clone(), format!("{:.2}", ratio(ours.p50, floor.p50))]
        };
        let mut cells = vec![run.name.clone(), self.layout.clone()];
        cells.extend([self.dirty, self.memory].map(|size| size.to_string()));
        cells.push(self.child.len().to_string());
        cells.extend(micros(self.pause));
        cells.extend(over(self.pause, self.floor_pause));
        cells.push(self.allowed_us.map_or_else(|| "-".into(), |us| format!("{us:.0}")));
        cells.extend(micros(child));
        cells.extend(over(child, exit));
        cells.extend(over(child, answer));
        cells
    }

    fn point(&self) -> Point {
        let measure = |spread: Spread| Some(Measure { p50: spread.p50, p99: Some(spread.p99) });
        let allowed = self.allowed_us.map(|p50| Measure { p50, p99: None });
        Point {
            x: self.dirty.0 as f64,
            label: self.dirty.to_string(),
            measures: vec![measure(self.pause), measure(self.floor_pause), allowed],
            ratio: Some(ratio(self.pause.p50, self.floor_pause.p50)),
        }
    }

    fn row(self, run: &Named<'_>) -> Row {
        let [child, exit, answer] =
            [&self.child, &self.floor, &self.to_answer].map(|samples| spread(samples));
        let to = |floor: Spread| Some(ratio(child.p50, floor.p50));
        Row {
            label: format!("{} {}", self.dirty, self.layout),
            detail: run.with_samples(&self.child),
            tracks: vec![
                Some(Track { samples: self.child, ratio: None }),
                Some(Track { samples: self.floor, ratio: to(exit) }),
                Some(Track { samples: self.to_answer, ratio: to(answer) }),
            ],
        }
    }
}

fn draw(runs: &[Named<'_>]) -> Result<Drawn, Misfit> {
    let mut table = Table::new(2, &HEADINGS);
    let (mut panels, mut rows) = (Vec::<Panel>::new(), Vec::new());
    for run in runs {
        let nodes = run.run.cases()?;
        let cases = nodes.iter().map(Case::of).collect::<Result<Vec<_>, _>>()?;
        let twice = cases.iter().enumerate().any(|(at, case)| {
            let same = |other: &Case| other.dirty == case.dirty && other.layout == case.layout;
            cases[..at].iter().any(same)
        });
        for case in cases {
            table.push(case.cells(run));
            let memory = if twice { format!(" of {}", case.memory) } else { String::new() };
            let title = format!("{}, {} pages{memory}", run.name, case.layout);
            let point = case.point();
            match panels.iter_mut().find(|panel| panel.title == title) {
                Some(panel) => panel.points.push(point),
                None => panels.push(Panel { title, points: vec![point] }),
            }
            rows.push(case.row(run));
        }
    }
    let pause = Lines {
        title: "How long the parent stands still",
        x_axis: "dirty memory",
        x_is_log: true,
        y_axis: "pause, \u{b5}s",
        lines: &["pincow", "floor: bare calls", "allowed to hostcow"],
        panels,
    };
    let child = Rows {
        title: "When the child first answers",
        axis: "from the call to the child's answer, \u{b5}s",
        tracks: &["pincow", "floor, to the first exit", "floor, to the answer"],
        rows,
    };
    Ok(Drawn { plots: vec![Plot::Lines(pause), Plot::Rows(child)], table })
}
