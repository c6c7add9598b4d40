//! `pincow bench fork-io`.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::super::memory_size::MemorySize;
use super::super::progress::Progress;
use super::super::{Failure, open_host};
use super::report::Report;
use super::{Common, samples_in_range, watching};
use crate::bench::fork_io::{self, MOST_IN_FLIGHT};
use crate::virtio::blk::Policy;

mod row;

use row::Row;

/// Forks of a guest while its disk transfers are in flight, on a fast disk and on a slow one.
///
/// The guest keeps so many reads and writes of 4 KiB in flight. `in flight`: how many of them the
/// kernel had and had not finished at the cut. `pause`: how long the parent stands still; it waits for
/// no transfer, so it is as short on a disk that takes 50 ms for each as on a fast one, except under
/// `drain`, which is what others do and is there to be compared. `child`: from the call until the child
/// has seen the end of a transfer that had not ended at the cut; on the slow disk it cannot be shorter
/// than the disk. Afterwards both sides go on apart, verify all that they read, and read back all that
/// they wrote; exit status 1 if a byte is wrong.
///
/// `ratio to idle`: the pause over that with nothing in flight, on the same disk and under the same
/// policy. `to fast`: over that on the fast disk with as many in flight.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    pub(super) common: Common,

    /// How many transfers the guest keeps in flight: 0 to 64. One case each.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "0,8,64",
        value_name = "N[,N..]",
        value_parser = clap::value_parser!(u64).range(0..=MOST_IN_FLIGHT)
    )]
    depth: Vec<u64>,

    /// Which disks: one case each.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "fast,slow",
        value_name = "DISK[,DISK]"
    )]
    disk: Vec<Speed>,

    /// What becomes of the transfers in flight: one case each.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "reissue,drain",
        value_name = "POLICY[,POLICY]"
    )]
    inflight: Vec<Inflight>,

    /// How long each transfer takes on the slow disk, in milliseconds.
    #[arg(long, default_value_t = 50, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=1000))]
    latency_ms: u64,

    /// Guest memory, such as 64M or 1G: a multiple of 2 MiB.
    #[arg(long, default_value = "64M", value_name = "SIZE")]
    memory: MemorySize,

    /// How many forks are measured in each case.
    #[arg(long, default_value = "20", value_name = "N", value_parser = samples_in_range)]
    samples: usize,

    /// Where the disk's file is made, and removed again.
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    dir: PathBuf,
}

/// A disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Speed {
    /// As fast as the host's.
    Fast,
    /// Each transfer takes --latency-ms longer.
    Slow,
}

/// What becomes of transfers in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Inflight {
    /// The child issues them again, against its own disk. Nobody waits.
    Reissue,
    /// The fork waits for them.
    Drain,
}

impl Inflight {
    fn policy(self) -> Policy {
        match self {
            Self::Reissue => Policy::Reissue,
            Self::Drain => Policy::Drain,
        }
    }
}

/// What a case is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    depth: u64,
    disk: Speed,
    inflight: Inflight,
}

pub(super) fn run(args: &Args) -> Result<Report, Failure> {
    let common = &args.common;
    let guests = common.guests(args.memory)?;
    let host = open_host()?;
    let mut progress = Progress::new();
    let (mut rows, mut violations) = (Vec::new(), Vec::new());
    for kind in kinds(args) {
        let Kind { depth, disk, inflight } = kind;
        let case =
            format!("bench fork-io {depth} in flight, {disk:?}, {inflight:?}").to_lowercase();
        let latency = Duration::from_millis(args.latency_ms);
        let measured = fork_io::Case {
            in_flight: depth,
            policy: inflight.policy(),
            latency: (disk == Speed::Slow).then_some(latency),
        };
        let mut watch = watching(&mut progress, &case);
        let times =
            fork_io::measure(&host, &guests, measured, args.samples, &args.dir, &mut watch)?;
        rows.push(Row::of(kind, args.latency_ms, &times, &rows));
        let named = |violation| format!("{case}: {violation}");
        violations.extend(times.violations.into_iter().map(named));
    }
    Ok(Report::new("fork-io", &common.setting(), "times in us", &rows, violations))
}

/// Each number of transfers, on each disk, under each policy; in an order in which those that others
/// are compared with come first.
fn kinds(args: &Args) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for &inflight in &args.inflight {
        for &disk in &args.disk {
            for &depth in &args.depth {
                kinds.push(Kind { depth, disk, inflight });
            }
        }
    }
    kinds.sort_by_key(|kind| (kind.inflight as u8, kind.disk as u8, kind.depth));
    kinds.dedup();
    kinds
}
