//! What `pincow bench blk` reports.

use std::time::Duration;

use serde::Serialize;

use super::super::super::memory_size::MemorySize;
use super::super::super::spread::{Range, Spread};
use super::super::report::{Case, tenths_of_us};
use super::Way;
use crate::bench::blk::{self, BlkTimes, Exits};

/// How one case did.
#[derive(Serialize)]
pub(super) struct Row {
    direction: Way,
    block_bytes: u64,
    depth: u64,
    n: usize,
    transfers: u64,
    guest_iops: Range,
    bare_iops: Range,
    guest_mib_per_s: Range,
    bare_mib_per_s: Range,
    ratio: Range,
    doorbells_per_transfer: f64,
    wake_ups_per_transfer: f64,
    disk_thread_us_per_transfer: f64,
    bounced: u64,
    guest_samples_us: Vec<f64>,
    bare_samples_us: Vec<f64>,
}

impl Row {
    pub(super) fn of(way: Way, case: blk::Case, times: &BlkTimes) -> Self {
        let transfers = times.transfers as f64;
        let iops = |times: &[Duration]| -> Vec<f64> {
            times.iter().map(|took| transfers / took.as_secs_f64().max(1e-9)).collect()
        };
        let (guest, bare) = (iops(&times.guest), iops(&times.bare));
        let mib = |iops: &[f64]| {
            let unit = case.block_bytes as f64 / f64::from(1 << 20);
            Range::of(iops.iter().map(|iops| iops * unit), 1)
        };
        let all = transfers * times.guest.len() as f64;
        let per_transfer = |value: f64| (value / all * 1000.0).round() / 1000.0;
        Self {
            direction: way,
            block_bytes: case.block_bytes,
            depth: case.depth,
            n: times.guest.len(),
            transfers: times.transfers,
            guest_iops: Range::of(guest.iter().copied(), 0),
            bare_iops: Range::of(bare.iter().copied(), 0),
            guest_mib_per_s: mib(&guest),
            bare_mib_per_s: mib(&bare),
            ratio: Range::of(guest.iter().zip(&bare).map(|(guest, bare)| guest / bare), 3),
            doorbells_per_transfer: per_transfer(times.bells as f64),
            wake_ups_per_transfer: per_transfer(times.wake_ups as f64),
            disk_thread_us_per_transfer: per_transfer(times.disk_cpu.as_secs_f64() * 1e6),
            bounced: times.bounced,
            guest_samples_us: tenths_of_us(&times.guest),
            bare_samples_us: tenths_of_us(&times.bare),
        }
    }
}

impl Case for Row {
    const HEADINGS: &'static [&'static str] = &[
        "direction",
        "block",
        "depth",
        "n",
        "guest IOPS",
        "bare",
        "guest MiB/s",
        "bare",
        "ratio p50",
        "min-max",
        "doorbells",
        "wake-ups",
        "CPU us",
    ];

    fn cells(&self) -> Vec<String> {
        let whole = |range: Range| format!("{:.0}", range.p50);
        vec![
            self.direction.name().to_owned(),
            MemorySize(self.block_bytes).to_string(),
            self.depth.to_string(),
            self.n.to_string(),
            whole(self.guest_iops),
            whole(self.bare_iops),
            whole(self.guest_mib_per_s),
            whole(self.bare_mib_per_s),
            format!("{:.2}", self.ratio.p50),
            format!("{:.2}-{:.2}", self.ratio.min, self.ratio.max),
            format!("{:.2}", self.doorbells_per_transfer),
            format!("{:.2}", self.wake_ups_per_transfer),
            format!("{:.1}", self.disk_thread_us_per_transfer),
        ]
    }
}

/// What each exit and wake-up costs.
#[derive(Serialize)]
pub(super) struct Costs {
    n: usize,
    exit_us: Spread,
    doorbell_us: Spread,
    wake_up_us: Spread,
}

impl Costs {
    pub(super) fn of(exits: &Exits) -> Self {
        Self {
            n: exits.exit.len(),
            exit_us: Spread::of(&exits.exit),
            doorbell_us: Spread::of(&exits.doorbell),
            wake_up_us: Spread::of(&exits.wake_up),
        }
    }

    pub(super) fn text(&self) -> String {
        format!(
            "an exit to this process and back {} us, a doorbell {} us, a wake-up of a thread {} us \
             (p50 of {})",
            self.exit_us.p50, self.doorbell_us.p50, self.wake_up_us.p50, self.n
        )
    }
}
