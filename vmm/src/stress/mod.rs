//! Forks under load that can fail: a family of guests keeps many disk transfers in flight and
//! verifies every byte, while it is forked, snapshotted, evicted from and killed.
//!
//! Each guest runs a [storm](pincow_guest_protocol::storm): every sector says who wrote it and when,
//! buffers share their pages with bytes that the CPU writes and verifies all the while. The monitor
//! looks, too: it compares the disks of guests and snapshots that stand still with what their
//! memory says of them, and counts all references while nobody moves. The decisions of a run follow
//! from its seed. A [`Control`] switches one rule off, and must be seen.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pincow_guest_protocol::devices::VIRTIO_DEVICES;
use pincow_mmu::rules::{Mutant, RuleSet, Rules};

use crate::guest::{BackingKind, Prefault, Sharing};
use crate::kvm::Host;
use crate::virtio::blk::Policy;

mod belongings;
mod decide;
mod desk;
mod disk;
mod error;
mod family;
mod finding;
mod image;
mod inspect;
mod late;
mod member;
mod memory;
mod reader;
mod report;
mod storm;
#[cfg(test)]
mod tests;

use decide::Chooser;
use desk::Desk;
use family::Family;

pub use belongings::Belongings;
pub use error::StressError;
pub use finding::{Finding, Kind, Witness};
pub use report::{Process, Report};

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

/// How late transfers are where nothing else was said: so late that the child of a fork has ended its own
/// and uses their buffers again by then, where a CPU is a CPU and not busy.
pub const LATE: Duration = Duration::from_millis(200);

/// What a run does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// For how long.
    pub seconds: u64,
    /// And for how many decisions at most, if that is limited.
    pub decisions: Option<u64>,
    /// Where its decisions come from.
    pub seed: u64,
    /// What decides about shared pages.
    pub set: RuleSet,
    /// Who carries that out.
    pub backing: BackingKind,
    /// What is done about pages that clones will probably write.
    pub prefault: Prefault,
    /// What is switched off.
    pub control: Option<Control>,
    /// How late some transfers are: [`LATE`] if this is `None` and something is switched off.
    pub late: Option<Duration>,
    /// What becomes of transfers in flight at a fork, in the child.
    pub inflight: Policy,
    /// Bytes of guest memory.
    pub memory_bytes: u64,
    /// vCPUs, each with a disk and a storm of its own.
    pub vcpus: u32,
    /// Guests that live at a time, at most; 2 if it is less.
    pub guests: usize,
    /// Transfers that a storm keeps in flight.
    pub depth: u64,
    /// Where the disk is made, on a file system that transfers can be made on directly.
    pub folder: PathBuf,
}

impl Plan {
    fn sharing(&self) -> Sharing {
        let mutant =
            (self.control == Some(Control::NoEarlyCopy)).then_some(Mutant::ForkIgnoresPins);
        let rules = Rules { set: self.set, mutant };
        Sharing { rules, backing: self.backing, prefault: self.prefault }
    }

    /// Guests that live at a time, at most.
    fn most_guests(&self) -> usize {
        self.guests.max(2)
    }

    /// How late some transfers are, if any is.
    #[must_use]
    pub fn late_by(&self) -> Option<Duration> {
        let is_implied = self.control.is_some() || self.set.is_unsafe();
        self.late.or(is_implied.then_some(LATE))
    }

    /// Refuses what no guest can do.
    fn check(&self) -> Result<(), StressError> {
        let Self { vcpus, depth, memory_bytes: bytes, .. } = *self;
        if vcpus as usize > VIRTIO_DEVICES {
            return Err(StressError::TooManyVcpus(vcpus));
        }
        let needed = storm::memory_needed(self);
        match bytes < needed {
            true => {
                let needed = needed.next_multiple_of(2 << 20) >> 20;
                Err(StressError::TooSmall { bytes, vcpus, depth, needed })
            }
            false => Ok(()),
        }
    }
}

/// How long a run goes on after the first finding, for others to follow.
const AFTERMATH: Duration = Duration::from_secs(10);

/// Runs it. `watch` is told now and then how far it is, and may end it early by saying no.
///
/// # Errors
/// When it cannot run at all. What it found is in the report.
pub fn run(
    host: &Arc<Host>,
    plan: &Plan,
    mut watch: impl FnMut(&Report) -> bool,
) -> Result<Report, StressError> {
    plan.check()?;
    let report = Mutex::new(Report::default());
    let mut family = Family::new(host, plan, &report)?;
    thread::scope(|scope| {
        let mut desk = Desk::open(scope, plan, &report)?;
        decide(plan, &mut family, &mut desk, &report, &mut watch)?;
        family.end_all(&mut desk)
    })?;
    family.end();
    Ok(report.into_inner())
}

/// One decision after the other, until the time is over.
fn decide(
    plan: &Plan,
    family: &mut Family<'_>,
    desk: &mut Desk,
    report: &Mutex<Report>,
    watch: &mut impl FnMut(&Report) -> bool,
) -> Result<(), StressError> {
    let mut chooser = Chooser::new(plan.seed);
    let begun = Instant::now();
    // More is more than a lifetime, and may be more than the clock has.
    let seconds = Duration::from_secs(plan.seconds.min(u64::from(u32::MAX)));
    let mut deadline = begun + seconds;
    let mut left = plan.decisions.unwrap_or(u64::MAX);
    while left > 0 {
        let step = chooser.next(family.shape());
        thread::sleep(step.rest);
        if Instant::now() >= deadline {
            break;
        }
        family.obey(step.decision, desk)?;
        left -= 1;
        family.look()?;
        let mut report = report.lock();
        report.decisions += 1;
        report.fingerprint = chooser.fingerprint();
        if !report.is_clean() && report.found_after.is_none() {
            report.found_after = Some(begun.elapsed());
            deadline = deadline.min(Instant::now() + AFTERMATH);
        }
        if !watch(&report) || family.is_empty() {
            break;
        }
    }
    Ok(())
}
