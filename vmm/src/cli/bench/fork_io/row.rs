//! What `pincow bench fork-io` reports.

use clap::ValueEnum;
use serde::Serialize;

use super::super::super::spread::Spread;
use super::super::report::{Case, micros, ratio, tenths_of_us};
use super::{Inflight, Kind, Speed};
use crate::bench::fork_io::ForkIoTimes;

/// Transfers in flight at the cuts.
#[derive(Serialize)]
struct InFlight {
    min: usize,
    p50: usize,
    max: usize,
    samples: Vec<usize>,
}

impl InFlight {
    fn of(samples: &[usize]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable();
        let at = |place: usize| sorted.get(place).copied().unwrap_or(0);
        let last = sorted.len().saturating_sub(1);
        Self { min: at(0), p50: at(last / 2), max: at(last), samples: samples.to_vec() }
    }
}

/// How one case did.
#[derive(Serialize)]
pub(super) struct Row {
    depth: u64,
    disk: Speed,
    latency_ms: Option<u64>,
    inflight: Inflight,
    direct: bool,
    n: usize,
    in_flight: InFlight,
    pause_us: Spread,
    pause_ratio_to_idle: Option<f64>,
    pause_ratio_to_fast: Option<f64>,
    child_first_us: Spread,
    early_copies: u64,
    reissued: u64,
    blocks_verified: u64,
    pause_samples_us: Vec<f64>,
    child_first_samples_us: Vec<f64>,
}

impl Row {
    pub(super) fn of(kind: Kind, latency_ms: u64, times: &ForkIoTimes, rows: &[Self]) -> Self {
        let Kind { depth, disk, inflight } = kind;
        let pause = Spread::of(&times.pause);
        let to = |other: Kind| {
            let row = rows.iter().find(|row| row.kind() == other)?;
            Some(ratio(pause.p50, row.pause_us.p50))
        };
        Self {
            depth,
            disk,
            latency_ms: (disk == Speed::Slow).then_some(latency_ms),
            inflight,
            direct: times.direct,
            n: times.pause.len(),
            in_flight: InFlight::of(&times.in_flight),
            pause_us: pause,
            pause_ratio_to_idle: to(Kind { depth: 0, ..kind }),
            pause_ratio_to_fast: to(Kind { disk: Speed::Fast, ..kind }),
            child_first_us: Spread::of(&times.first),
            early_copies: times.early_copies,
            reissued: times.reissued,
            blocks_verified: times.verified,
            pause_samples_us: tenths_of_us(&times.pause),
            child_first_samples_us: tenths_of_us(&times.first),
        }
    }

    fn kind(&self) -> Kind {
        Kind { depth: self.depth, disk: self.disk, inflight: self.inflight }
    }
}

impl Case for Row {
    const HEADINGS: &'static [&'static str] = &[
        "disk",
        "policy",
        "depth",
        "n",
        "in flight",
        "pause p50",
        "p99",
        "ratio to idle",
        "to fast",
        "child p50",
        "p99",
    ];

    fn cells(&self) -> Vec<String> {
        let [pause_p50, pause_p99] = micros(self.pause_us);
        let [child_p50, child_p99] = micros(self.child_first_us);
        let name = |value: Option<clap::builder::PossibleValue>| {
            value.map_or_else(String::new, |value| value.get_name().to_owned())
        };
        let ratio = |ratio: Option<f64>| ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"));
        let InFlight { min, p50, max, .. } = self.in_flight;
        vec![
            name(self.disk.to_possible_value()),
            name(self.inflight.to_possible_value()),
            self.depth.to_string(),
            self.n.to_string(),
            format!("{p50} ({min}-{max})"),
            pause_p50,
            pause_p99,
            ratio(self.pause_ratio_to_idle),
            ratio(self.pause_ratio_to_fast),
            child_p50,
            child_p99,
        ]
    }
}
