//! The main job, shown and checked: a guest is booted, snapshotted, cloned and forked while it runs;
//! another is forked with disk transfers in flight.
//!
//! Nothing is taken on trust: what guests report is compared with what the host computes, what they
//! hold with what they say that they wrote, the counts with a walk of all holders, and the memory
//! with the kernel's own accounting.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pincow_guest_protocol::map::{PAGE_BYTES, TABLE_BASE, TABLE_FIRST_PAGE};
use pincow_guest_protocol::{Command, table_checksum};
use thiserror::Error;

use crate::drive::{self, DriveError};
use crate::guest::{Guest, GuestConfig, GuestError, Sharing};
use crate::kvm::Host;
use crate::machine::MachineError;
use crate::payload::PAYLOAD;

mod clones;
mod forks;
mod io;
mod memory;
#[cfg(test)]
mod tests;

pub use io::IoReport;
pub use memory::MemoryUse;

/// What the demo does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Bytes of guest memory.
    pub memory_bytes: u64,
    /// vCPUs per guest.
    pub vcpus: u32,
    /// What decides about shared pages.
    pub sharing: Sharing,
    /// What the first guest writes before it is snapshotted: at least the pages that a clone changes.
    pub table_bytes: u64,
    /// Clones of the snapshot, all alive at the same time.
    pub clones: u32,
    /// Forks of the running guest, each of the child before; and as many of one that uses its disk.
    pub forks: u32,
}

/// Pages that each clone changes.
const CLONE_PAGES: u64 = 16;

/// Pages that each vCPU churns.
const CHURN_PAGES: u64 = 512;

/// What happened.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Clones made.
    pub clones: u32,
    /// Clones that reported what the host had computed.
    pub clones_ok: u32,
    /// Forks made.
    pub forks: u32,
    /// Forks after which both sides held what they had written, and nothing of the other's.
    pub forks_ok: u32,
    /// Forks that interrupted a vCPU in its own code, with no exit pending.
    pub forked_mid_run: u32,
    /// Everything that was not as it must be, in words.
    pub violations: Vec<String>,
    /// Frames while all clones were alive: held by more than one.
    pub shared_frames: u64,
    /// Frames while all clones were alive: held by one.
    pub private_frames: u64,
    /// Write faults answered with a copy, and copies that forks made.
    pub copied: u64,
    /// Write faults answered by reusing the frame.
    pub reused: u64,
    /// For each clone, from the call to the first report of its own vCPU.
    pub clone_times: Vec<Duration>,
    /// For each fork, how long the parent stood still.
    pub fork_times: Vec<Duration>,
    /// What the clones cost.
    pub memory: MemoryUse,
    /// Forks with disk transfers in flight.
    pub io: IoReport,
}

/// The demo could not be shown.
#[derive(Debug, Error)]
pub enum DemoError {
    /// A guest was refused.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// A guest did not do what it was asked.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// A machine could not be started.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The guest is too small to show anything.
    #[error(
        "{memory_bytes:#x} bytes of memory are too few for the demo with {vcpus} vCPUs: give \
         {least:#x} or more (--memory)"
    )]
    TooSmall {
        /// What it has.
        memory_bytes: u64,
        /// How many vCPUs it has.
        vcpus: u32,
        /// What it needs.
        least: u64,
    },
    /// There is no place for a disk.
    #[error(
        "the demo's disk, a temporary file, could not be made in {}: {reason}: name a folder that can \
         be written (TMPDIR)", folder.display()
    )]
    Disk {
        /// Where it was tried first.
        folder: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The kernel's own accounting could not be read.
    #[error("reading the kernel's accounting of memory: {0}")]
    Accounting(#[from] std::io::Error),
}

/// Somebody who is told what is going on.
pub trait Audience {
    /// A part of the demo begins, or is at step `step` of `steps`.
    fn step(&mut self, what: &str, step: u32, steps: u32);
}

/// Shows the demo.
///
/// # Errors
/// When it cannot be shown at all. What went wrong in it is in the report.
pub fn run(
    host: &Arc<Host>,
    plan: &Plan,
    audience: &mut dyn Audience,
) -> Result<Report, DemoError> {
    check_size(plan)?;
    let mut report = Report::default();
    audience.step("booting a guest and filling its table", 0, 1);
    let root = boot(host, plan)?;
    fill_table(&root, plan, &mut report)?;
    let (snapshot, _) = root.snapshot()?;
    clones::show(&snapshot, plan, audience, &mut report)?;
    drop(snapshot);
    forks::show(root, plan, audience, &mut report)?;
    io::show(host, plan, audience, &mut report)?;
    Ok(report)
}

fn check_size(plan: &Plan) -> Result<(), DemoError> {
    let Plan { memory_bytes, vcpus, .. } = *plan;
    let churned = u64::from(vcpus) * CHURN_PAGES * PAGE_BYTES as u64;
    let least = TABLE_BASE + plan.table_bytes.max(churned);
    if memory_bytes < least {
        return Err(DemoError::TooSmall { memory_bytes, vcpus, least });
    }
    Ok(())
}

fn boot(host: &Arc<Host>, plan: &Plan) -> Result<Guest, DemoError> {
    let config = GuestConfig { vcpus: plan.vcpus, ..GuestConfig::default() };
    let root = Guest::boot(host, plan.memory_bytes, plan.sharing, config, PAYLOAD)?;
    root.machine().start()?;
    drive::wait_ready(&root)?;
    Ok(root)
}

/// The table's seed before anybody forks.
const SEED: u64 = 1;

impl Plan {
    fn table_pages(&self) -> u64 {
        self.table_bytes / PAGE_BYTES as u64
    }
}

fn fill_table(root: &Guest, plan: &Plan, report: &mut Report) -> Result<(), DemoError> {
    let (first, pages) = (TABLE_FIRST_PAGE, plan.table_pages());
    drive::call(root, 0, Command::Fill { first, pages, seed: SEED })?;
    let [sum, ..] = drive::call(root, 0, Command::Sum { first, pages })?;
    if sum != table_checksum(first, pages, SEED) {
        report.violations.push(format!("the first guest's table has the checksum {sum:#x}"));
    }
    Ok(())
}

fn audit(guest: &Guest, when: &str, report: &mut Report) {
    if let Err(miscount) = guest.realm().family().audit([]) {
        report.violations.push(format!("{when}: {miscount}"));
    }
}
