//! One guest's storms, driven and watched from outside: one on each vCPU, each with its own disk.

use std::ops::Range;
use std::time::{Duration, Instant};

use pincow_guest_protocol::disk::{EVENT_IDX, INDIRECT};
use pincow_guest_protocol::map::{PAGE_BYTES, TABLE_FIRST_PAGE};
use pincow_guest_protocol::storm::{self, FindingKind, Totals, words};
use pincow_guest_protocol::{Command, control};

use super::{Plan, StressError};
use crate::drive::{self, DriveError};
use crate::guest::Guest;
use crate::virtio::blk::Policy;

/// Sectors that a storm uses: 1 MiB.
pub(super) const SECTORS: u64 = 2048;

/// Entries of a disk's queue.
pub(super) const QUEUE_SIZE: u16 = 256;

/// The most sectors of one transfer.
const MOST_SECTORS: u64 = 32;

/// Of 256 transfers, those that write, and those whose buffers are aligned to nothing.
const WRITES: u64 = 128;
const UNALIGNED: u64 = 48;

/// How often it is looked whether a storm has begun.
const LOOK_EVERY: Duration = Duration::from_micros(100);

/// Pages of guest memory that one storm uses.
fn pages(plan: &Plan) -> u64 {
    storm::Plan::pages_for(plan.depth, MOST_SECTORS, SECTORS)
}

/// The pages of the storm on a vCPU.
pub(super) fn area(plan: &Plan, vcpu: u32) -> Range<u64> {
    let first = TABLE_FIRST_PAGE + u64::from(vcpu) * pages(plan);
    first..first + pages(plan)
}

/// Bytes of guest memory that all storms need.
pub(super) fn memory_needed(plan: &Plan) -> u64 {
    area(plan, plan.vcpus - 1).end * PAGE_BYTES as u64
}

/// The command that a storm is, for waiting for its reply.
fn command(plan: &Plan, vcpu: u32) -> Command {
    let area = area(plan, vcpu);
    let seed = plan.seed.wrapping_add(u64::from(vcpu));
    Command::DiskStorm { first: area.start, pages: area.end - area.start, seed, limit: 0 }
}

/// Sets the disks up and begins.
pub(super) fn start(guest: &Guest, plan: &Plan) -> Result<(), StressError> {
    let failing = match plan.inflight {
        Policy::Error => words::flag::ERRORS,
        Policy::Reissue | Policy::Drain => 0,
    };
    let flags = failing
        | words::flag::FRESH
        | words::flag::ZEROS
        | words::flag::FLUSH
        | words::flag::ZERO
        | words::flag::DISCARD
        | words::flag::DISCARDED_ARE_ZEROS
        | words::flag::LEND;
    for vcpu in 0..plan.vcpus {
        let device = u64::from(vcpu);
        let init = Command::DiskInit { device, queue_size: 0, flags: INDIRECT | EVENT_IDX };
        drive::call(guest, vcpu, init)?;
        let parameters = [
            (words::DEVICE, device),
            (words::SECTOR, 0),
            (words::SECTORS, SECTORS),
            (words::DEPTH, plan.depth),
            (words::MOST, MOST_SECTORS),
            (words::WRITES, WRITES),
            (words::UNALIGNED, UNALIGNED),
            (words::FLAGS, flags),
        ];
        for (word, value) in parameters {
            drive::set_control_word(guest, vcpu, word, value)?;
        }
        drive::post(guest, vcpu, command(plan, vcpu))?;
        wait_begun(guest, vcpu)?;
    }
    Ok(())
}

/// Waits until a storm has transfers, so that whoever looks at it finds one.
fn wait_begun(guest: &Guest, vcpu: u32) -> Result<(), StressError> {
    let deadline = Instant::now() + drive::PATIENCE;
    while drive::control_word(guest, vcpu, words::SEQUENCE)? == 0 {
        if let Some(reason) = guest.machine().ended() {
            return Err(DriveError::Ended(reason).into());
        }
        if Instant::now() > deadline {
            return Err(DriveError::Stuck { vcpu, at: 0 }.into());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// From now on the guest writes sectors that no other guest writes.
pub(super) fn salt(guest: &Guest, salt: u64) -> Result<(), DriveError> {
    let vcpus = 0..guest.machine().vcpus();
    vcpus.into_iter().try_for_each(|vcpu| drive::set_control_word(guest, vcpu, control::SALT, salt))
}

/// Ends it, with the reading back of all that it wrote; how many sectors that were.
pub(super) fn stop(guest: &Guest, plan: &Plan) -> Result<u64, DriveError> {
    for vcpu in 0..plan.vcpus {
        drive::set_control_word(guest, vcpu, control::STOP, 1)?;
    }
    let mut read_back = 0;
    for vcpu in 0..plan.vcpus {
        let totals = Totals::from_values(drive::reply(guest, vcpu, command(plan, vcpu))?);
        read_back += totals.read_back;
    }
    Ok(read_back)
}

/// How far a storm is. A child begins with its parent's numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Transfers that it has seen the end of.
    pub(super) transfers: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Findings, in the order of [`FindingKind::ALL`].
    pub(super) findings: [u64; FindingKind::ALL.len()],
}

/// Reads it from a vCPU's control page.
pub(super) fn progress(guest: &Guest, vcpu: u32) -> Result<Progress, DriveError> {
    let word = |word| drive::control_word(guest, vcpu, word);
    let mut findings = [0; FindingKind::ALL.len()];
    if word(words::FINDINGS)? > 0 {
        for (count, kind) in findings.iter_mut().zip(FindingKind::ALL) {
            *count = word(words::FINDINGS + kind as usize)?;
        }
    }
    Ok(Progress { transfers: word(words::TRANSFERS)?, bytes: word(words::BYTES)?, findings })
}

/// The first finding of a storm.
pub(super) fn first_finding(
    guest: &Guest,
    vcpu: u32,
) -> Result<Option<storm::Finding>, DriveError> {
    let mut found = [0; 8];
    for (at, word) in (words::FIRST_FINDING..).zip(&mut found) {
        *word = drive::control_word(guest, vcpu, at)?;
    }
    Ok(storm::Finding::from_words(found))
}
