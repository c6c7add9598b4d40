//! Forks under load that can fail: a family of guests keeps many disk transfers in flight and
//! verifies every byte, while it is forked, snapshotted, evicted from and killed.
//!
//! Each guest runs a [storm](pincow_guest_protocol::storm): every sector says who wrote it and when,
//! buffers share their pages with bytes that the CPU writes and verifies all the while. The
//! decisions of a run follow from its seed. A [`Control`] switches one rule off, and must be seen.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pincow_guest_protocol::storm::{Finding, FindingKind};
use pincow_mmu::SpaceError;
use pincow_mmu::rules::{Mutant, RuleSet, Rules};
use pincow_mmu::scenario::Random;
use thiserror::Error;

use crate::disk::DiskError;
use crate::drive::DriveError;
use crate::guest::GuestError;
use crate::kvm::Host;
use crate::machine::MachineError;

mod family;
mod image;
mod storm;
#[cfg(test)]
mod tests;

use family::Family;
use image::Watched;

/// One rule switched off: a test of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Control {
    /// Pins end when a transfer is submitted, not when its completion is read.
    UnpinAtSubmission,
    /// A pin takes the page as it is, without breaking copy-on-write first.
    PinWithoutBreakingCow,
    /// A fork shares pinned frames instead of copying them.
    NoEarlyCopy,
    /// A disk's map names a write when it is submitted, not when it completes.
    MapAtSubmission,
}

/// What a run does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// For how long.
    pub seconds: u64,
    /// Where its decisions come from.
    pub seed: u64,
    /// What decides about shared pages.
    pub set: RuleSet,
    /// What is switched off.
    pub control: Option<Control>,
    /// Bytes of guest memory.
    pub memory_bytes: u64,
    /// Guests that live at a time, at most.
    pub guests: usize,
    /// Transfers that a guest keeps in flight.
    pub depth: u64,
    /// Where the disk is made, on a file system that transfers can be made on directly.
    pub folder: PathBuf,
}

impl Plan {
    fn rules(&self) -> Rules {
        let mutant =
            (self.control == Some(Control::NoEarlyCopy)).then_some(Mutant::ForkIgnoresPins);
        Rules { set: self.set, mutant }
    }
}

/// What happened.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Forks.
    pub forks: u64,
    /// Snapshots, and clones of them.
    pub snapshots: u64,
    /// Guests that lived at the same time, at most.
    pub guests_peak: usize,
    /// Guests that were killed with whatever they had in flight.
    pub killed: u64,
    /// Transfers that guests saw the end of.
    pub transfers: u64,
    /// Bytes that they moved.
    pub bytes: u64,
    /// For each fork, the transfers that the kernel had and had not finished.
    pub in_flight_at_fork: Vec<usize>,
    /// Frames copied at forks because they were pinned.
    pub early_copies: u64,
    /// Requests that children issued again.
    pub reissued: u64,
    /// Pages evicted.
    pub evictions: u64,
    /// Pages evicted that somebody wanted back.
    pub swapped_in: u64,
    /// Evictions that were refused because of a pin.
    pub busy: u64,
    /// Sectors read back and compared at the ends of guests.
    pub read_back: u64,
    /// Findings by kind.
    pub findings: BTreeMap<&'static str, u64>,
    /// The first finding of the guest that was looked at first.
    pub first: Option<(u64, Finding)>,
    /// Everything else that was not as it must be: counts, guests that ended.
    pub violations: Vec<String>,
}

impl Report {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.violations.is_empty()
    }

    fn note(&mut self, kind: FindingKind, count: u64) {
        if count > 0 {
            *self.findings.entry(kind.name()).or_default() += count;
        }
    }
}

/// The stress test could not run.
#[derive(Debug, Error)]
pub enum StressError {
    /// A guest was refused.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// A guest did not do what it was asked.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// A machine could not be started.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The disk could not be made.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Guest memory refused.
    #[error("guest memory: {0}")]
    Space(#[from] SpaceError),
    /// The disk's file could not be made.
    #[error("{path}: {source}: choose a folder on a disk (--dir)")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A snapshot's disk could not be read.
    #[error("reading the disk of a snapshot: {0}")]
    Read(std::io::Error),
    /// The guest is too small.
    #[error("{0:#x} bytes of guest memory are too few: give 16 MiB or more (--memory)")]
    TooSmall(u64),
}

/// How long the family is left alone between two things that happen to it, at most.
const LONGEST_REST_US: u64 = 20_000;

/// Runs it. `watch` is told now and then how far it is, and may end it early by saying no.
///
/// # Errors
/// When it cannot run at all. What it found is in the report.
pub fn run(
    host: &Arc<Host>,
    plan: &Plan,
    mut watch: impl FnMut(&Report) -> bool,
) -> Result<Report, StressError> {
    let mut random = Random::new(plan.seed);
    let mut report = Report::default();
    let mut family = Family::new(host, plan)?;
    let mut snapshot: Option<Watched> = None;
    let deadline = Instant::now() + Duration::from_secs(plan.seconds);
    while Instant::now() < deadline && report.is_clean() && watch(&report) {
        std::thread::sleep(Duration::from_micros(random.below(LONGEST_REST_US)));
        match random.below(16) {
            0..8 => family.fork(&mut random, &mut report)?,
            8..11 => family.retire(&mut random, &mut report)?,
            11 => family.kill(&mut random, &mut report),
            12..14 => family.evict(&mut random, &mut report)?,
            14 => {
                let newer = Watched::new(family.snapshot(&mut random, &mut report)?)?;
                if let Some(older) = snapshot.replace(newer) {
                    older.verify(&mut report)?;
                }
            }
            _ => {
                let snapshot = snapshot.as_ref().map(Watched::snapshot);
                family.spawn(snapshot, &mut random, &mut report)?;
            }
        }
    }
    if let Some(snapshot) = snapshot {
        snapshot.verify(&mut report)?;
    }
    family.end(&mut report)?;
    Ok(report)
}
