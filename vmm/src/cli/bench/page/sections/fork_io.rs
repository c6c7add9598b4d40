//! `pincow bench fork-io` on the page.

use super::super::super::super::spread::Spread;
use super::super::super::report::{micros, ratio};
use super::super::node::{Misfit, Node};
use super::super::rows::{Row, Rows, Track};
use super::super::table::Table;
use super::{Bench, Drawn, Named, Plot, spread, text_of};

pub(super) const BENCH: Bench = Bench {
    name: "fork-io",
    title: "Forks with disk transfers in flight",
    text: "How long a guest that keeps so many transfers in flight stands still for a fork, on the \
           host's disk and on one that takes longer for each. reissue, the default: nobody waits, and \
           the child issues them again on its own disk. drain, which is what others do: the fork waits \
           for them. The ratio is of reissue to drain.",
    draw,
};

const HEADINGS: [&str; 11] = [
    "backing",
    "disk",
    "policy",
    "depth",
    "n",
    "in flight p50 (min-max)",
    "pause p50 (\u{b5}s)",
    "p99",
    "ratio to drain",
    "child p50",
    "p99",
];

/// What became of the transfers in flight. The first is pincow's default.
const POLICIES: [&str; 2] = ["reissue", "drain"];

/// One number of transfers, on one disk, under one policy.
struct Case {
    disk: String,
    policy: usize,
    depth: u64,
    in_flight: [f64; 3],
    pause: Vec<f64>,
    child: Spread,
}

impl Case {
    fn of(case: &Node<'_>) -> Result<Self, Misfit> {
        let policy = case.field("inflight")?;
        let name = policy.text()?;
        let policy = POLICIES.iter().position(|&policy| policy == name).ok_or_else(|| {
            policy.misfit(format!("`{name}` is neither {}", POLICIES.join(" nor ")))
        })?;
        let speed = text_of(case, "disk")?;
        let disk = match case.maybe("latency_ms") {
            Some(latency) => format!("{speed}, {} ms", latency.count()?),
            None => speed,
        };
        let in_flight = case.field("in_flight")?;
        let at = |name: &str| in_flight.field(name)?.number();
        Ok(Self {
            disk,
            policy,
            depth: case.field("depth")?.count()?,
            in_flight: [at("p50")?, at("min")?, at("max")?],
            pause: case.samples("pause_samples_us")?,
            child: spread(&case.samples("child_first_samples_us")?),
        })
    }

    /// Whether both differ in nothing but the policy.
    fn is_like(&self, other: &Self) -> bool {
        self.disk == other.disk && self.depth == other.depth
    }

    fn cells(&self, run: &Named<'_>, to_drain: Option<f64>) -> Vec<String> {
        let [middle, least, most] = self.in_flight;
        let mut cells = vec![run.name.clone(), self.disk.clone()];
        cells.extend([POLICIES[self.policy].to_owned(), self.depth.to_string()]);
        cells.extend([self.pause.len().to_string(), format!("{middle:.0} ({least:.0}-{most:.0})")]);
        cells.extend(micros(spread(&self.pause)));
        cells.push(to_drain.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")));
        cells.extend(micros(self.child));
        cells
    }
}

fn draw(runs: &[Named<'_>]) -> Result<Drawn, Misfit> {
    let mut table = Table::new(3, &HEADINGS);
    let mut rows = Vec::new();
    for run in runs {
        let nodes = run.run.cases()?;
        let cases = nodes.iter().map(Case::of).collect::<Result<Vec<_>, _>>()?;
        let find = |case: &Case, policy: usize| {
            cases.iter().find(|other| other.policy == policy && other.is_like(case))
        };
        for (at, case) in cases.iter().enumerate() {
            let [reissued, drained] = [0, 1].map(|policy| find(case, policy));
            let over = |(ours, peer): (&Case, &Case)| {
                ratio(spread(&ours.pause).p50, spread(&peer.pause).p50)
            };
            let to_drain = reissued.zip(drained).map(over);
            table.push(case.cells(run, to_drain.filter(|_| case.policy == 0)));
            if cases[..at].iter().any(|other| other.is_like(case)) {
                continue;
            }
            let samples = |case: Option<&Case>| case.map(|case| case.pause.clone());
            rows.push(Row {
                label: format!("{} disk, {} deep", case.disk, case.depth),
                detail: run.with_samples(&case.pause),
                tracks: vec![
                    samples(reissued).map(|samples| Track { samples, ratio: None }),
                    samples(drained).map(|samples| Track { samples, ratio: to_drain }),
                ],
            });
        }
    }
    let plot = Rows {
        title: "How long the parent stands still, with transfers in flight",
        axis: "pause, \u{b5}s",
        tracks: &["pincow: reissue", "drain"],
        rows,
    };
    Ok(Drawn { plots: vec![Plot::Rows(plot)], table })
}
