//! `pincow bench density` on the page.

use super::super::super::super::memory_size::MemorySize;
use super::super::super::report::{micros, ratio};
use super::super::lines::{Lines, Measure, Panel, Point};
use super::super::node::{Misfit, Node};
use super::super::rows::{Row, Rows, Track};
use super::super::table::Table;
use super::{Bench, Drawn, Named, Plot, spread};

pub(super) const BENCH: Bench = Bench {
    name: "density",
    title: "Many idle clones",
    text: "What clones of a snapshot take when many are alive at once and wait, each of which has \
           answered. Unique memory is what the kernel charges to the process: blocks of memfds and \
           anonymous memory. The floor is as many machines made of the bare KVM calls, each over a \
           private mapping of the same bytes.",
    draw,
};

const HEADINGS: [&str; 12] = [
    "backing",
    "memory",
    "n",
    "unique of each (KiB)",
    "floor",
    "beyond floor",
    "of which written",
    "spawn p50 (\u{b5}s)",
    "p99",
    "floor p50",
    "p99",
    "ratio p50",
];

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * 1024.0;

/// Clones, or bare machines.
struct Side {
    is_floor: bool,
    memory: MemorySize,
    spawn: Vec<f64>,
    /// Bytes that each has written, on average.
    written: f64,
    /// How many are alive, and what all of them have added in bytes.
    unique: Vec<(u64, f64)>,
}

impl Side {
    fn of(case: &Node<'_>) -> Result<Self, Misfit> {
        let side = case.field("side")?;
        let is_floor = match side.text()? {
            "clone" => false,
            "floor" => true,
            other => return Err(side.misfit(format!("`{other}` is neither clone nor floor"))),
        };
        let looks = case.field("looks")?;
        let unique = looks.items()?.iter().map(look).collect::<Result<Vec<_>, _>>()?;
        let Some((&(_, before), after)) =
            unique.split_first().filter(|(_, after)| !after.is_empty())
        else {
            return Err(looks.misfit("one look is needed before the first, and one after"));
        };
        Ok(Self {
            is_floor,
            memory: MemorySize(case.field("memory_bytes")?.count()?),
            spawn: case.samples("spawn_samples_us")?,
            written: case.field("each_bytes")?.field("written")?.number()?,
            unique: after
                .iter()
                .map(|&(alive, bytes)| (alive, (bytes - before).max(0.0)))
                .collect(),
        })
    }

    /// What each takes, in bytes.
    fn each(&self) -> f64 {
        let &(alive, bytes) = self.unique.last().unwrap_or(&(1, 0.0));
        bytes / alive.max(1) as f64
    }

    /// What so many have added, in MiB.
    fn at(&self, alive: u64) -> Option<f64> {
        let (_, bytes) = self.unique.iter().find(|&&(at, _)| at == alive)?;
        Some(bytes / MIB)
    }
}

/// How many are alive, and what the kernel charges for them.
fn look(node: &Node<'_>) -> Result<(u64, f64), Misfit> {
    let memfd = node.field("memfd_bytes")?.number()?;
    let anonymous = node.field("process")?.field("anonymous_bytes")?.number()?;
    Ok((node.field("alive")?.count()?, memfd + anonymous))
}

fn draw(runs: &[Named<'_>]) -> Result<Drawn, Misfit> {
    let mut table = Table::new(2, &HEADINGS);
    let (mut panels, mut rows) = (Vec::new(), Vec::new());
    for run in runs {
        let nodes = run.run.cases()?;
        let sides = nodes.iter().map(Side::of).collect::<Result<Vec<_>, _>>()?;
        for ours in sides.iter().filter(|side| !side.is_floor) {
            let like = |side: &&Side| side.is_floor && side.memory == ours.memory;
            let floor = sides.iter().find(like).ok_or_else(|| {
                let memory = ours.memory.0;
                nodes[0].misfit(format!("there is no floor for `memory_bytes` {memory}"))
            })?;
            table.push(cells(run, ours, floor));
            let title = format!("{}, guests of {}", run.name, ours.memory);
            panels.push(Panel { title, points: points(ours, floor) });
            rows.push(row(run, ours, floor));
        }
    }
    let memory = Lines {
        title: "Unique memory by number of clones",
        x_axis: "clones that are alive",
        x_is_log: false,
        y_axis: "unique memory of all, MiB",
        lines: &["pincow", "floor: bare machines"],
        panels,
    };
    let spawn = Rows {
        title: "How long each takes to spawn, while the others are alive",
        axis: "from the call to the child's answer, \u{b5}s",
        tracks: &["pincow", "floor: bare machines"],
        rows,
    };
    Ok(Drawn { plots: vec![Plot::Lines(memory), Plot::Rows(spawn)], table })
}

fn points(ours: &Side, floor: &Side) -> Vec<Point> {
    let mut numbers: Vec<u64> =
        ours.unique.iter().chain(&floor.unique).map(|&(alive, _)| alive).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let measure = |p50: Option<f64>| p50.map(|p50| Measure { p50, p99: None });
    let point = |alive: u64| {
        let (us, bare) = (ours.at(alive), floor.at(alive));
        Point {
            x: alive as f64,
            label: alive.to_string(),
            measures: vec![measure(us), measure(bare)],
            ratio: us.zip(bare).map(|(us, bare)| ratio(us, bare)),
        }
    };
    numbers.into_iter().map(point).collect()
}

fn cells(run: &Named<'_>, ours: &Side, floor: &Side) -> Vec<String> {
    let (us, bare) = (spread(&ours.spawn), spread(&floor.spawn));
    let mut cells = vec![run.name.clone(), ours.memory.to_string(), ours.spawn.len().to_string()];
    let bytes = [ours.each(), floor.each(), ours.each() - floor.each(), ours.written];
    cells.extend(bytes.map(|bytes| format!("{:.1}", bytes / KIB)));
    cells.extend(micros(us));
    cells.extend(micros(bare));
    cells.push(format!("{:.2}", ratio(us.p50, bare.p50)));
    cells
}

fn row(run: &Named<'_>, ours: &Side, floor: &Side) -> Row {
    let over = ratio(spread(&ours.spawn).p50, spread(&floor.spawn).p50);
    Row {
        label: ours.memory.to_string(),
        detail: run.with_samples(&ours.spawn),
        tracks: vec![
            Some(Track { samples: ours.spawn.clone(), ratio: None }),
            Some(Track { samples: floor.spawn.clone(), ratio: Some(over) }),
        ],
    }
}
