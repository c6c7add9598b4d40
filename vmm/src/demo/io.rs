//! Forks of a guest with disk transfers in flight, none of which is waited for: the parent sees the
//! end of its own, the child issues them again, and each verifies its memory and its disk.
//!
//! The disk is a temporary file without a name. Each guest runs a [`Storm`]: it compares every sector
//! that it reads with what it wrote there, and every byte beside its buffers; at the end it reads
//! the whole region back. Both sides of a fork write sectors of their own from then on, so a disk or
//! a page that is not separate shows up as the other's bytes.

use std::sync::Arc;

use pincow_mmu::SpaceError;

use super::{Audience, DemoError, Plan, Report, audit};
use crate::devices::serial::nowhere;
use crate::drive::{self, Storm, StormEnd};
use crate::guest::{Cut, Guest, GuestConfig, GuestDiskError, GuestError};
use crate::kvm::Host;
use crate::payload::PAYLOAD;

mod disk;

use disk::Slowness;

const STORM: Storm = Storm { sectors: 1024, depth: 32, most: 16, seed: 1 };

/// Transfers that end before a guest is forked, and on both sides after it.
const BETWEEN_FORKS: u64 = 64;

/// How often a fork may meet nothing in flight before transfers are held back.
const TRIES_AT_FULL_SPEED: u32 = 3;

/// How often it may then, and how often it may be refused.
const TRIES: u32 = 30;

/// What forks with transfers in flight came to.
#[derive(Clone, Debug, Default)]
pub struct IoReport {
    /// For each fork, the transfers that were submitted and had not ended.
    pub in_flight: Vec<usize>,
    /// Requests that were in flight at forks.
    pub requests: u64,
    /// Of them, those whose ends their own guest has seen.
    pub completed: u64,
    /// Of them, those that a child has issued again.
    pub reissued: u64,
    /// Forks after which both sides found their memory and their disk as they must be.
    pub forks_ok: u32,
    /// Forks that the rule set refused because of pinned pages.
    pub refused: u32,
    /// The disk's transfers go past the page cache.
    pub direct: bool,
    /// What was other than meant, and why, in words.
    pub notes: Vec<String>,
}

pub(super) fn show(
    host: &Arc<Host>,
    plan: &Plan,
    audience: &mut dyn Audience,
    report: &mut Report,
) -> Result<(), DemoError> {
    let slowness = Slowness::default();
    let mut guest = match boot(host, plan, &slowness, report) {
        Ok(guest) => guest,
        Err(DemoError::Guest(GuestError::Disk(GuestDiskError::Uring(error)))) => {
            report.io.notes.push(format!("no fork with disk transfers in flight: {error}"));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let mut whole = Vec::new();
    for number in 0..plan.forks {
        audience.step("forking with disk transfers in flight", number, plan.forks);
        let Some((child, cut)) = fork(&guest, &slowness, report)? else { break };
        let parent = std::mem::replace(&mut guest, child);
        let reissued = go_on(&parent, &guest, number)?;
        let who = format!("fork {number} with transfers in flight");
        tally(&cut, reissued, &who, report);
        whole.push(verify(&parent, &format!("{who}, parent"), report)?);
        let left = unanswered(&parent);
        report.io.completed += (cut.requests_in_flight as u64).saturating_sub(left);
        if left > 0 {
            report.violations.push(format!("{who}: its parent misses {left} completions"));
        }
    }
    whole.push(verify(&guest, "the last child with transfers in flight", report)?);
    // Only now is nothing pinned: pins are not in the walk.
    audit(&guest, "after the last transfer", report);
    let both_sides = whole.windows(2).filter(|sides| sides[0] && sides[1]).count();
    report.io.forks_ok = u32::try_from(both_sides).unwrap_or(u32::MAX);
    Ok(())
}

fn boot(
    host: &Arc<Host>,
    plan: &Plan,
    slowness: &Slowness,
    report: &mut Report,
) -> Result<Guest, DemoError> {
    let disk = disk::make(slowness)?;
    report.io.direct = disk.direct;
    let config = GuestConfig { vcpus: plan.vcpus, disks: vec![disk], ..GuestConfig::default() };
    let guest = Guest::boot(host, plan.memory_bytes, plan.sharing, config, PAYLOAD)?;
    guest.machine().start()?;
    drive::wait_ready(&guest)?;
    STORM.start(&guest)?;
    STORM.wait(&guest, 0, BETWEEN_FORKS)?;
    Ok(guest)
}

/// A fork that meets transfers in flight; `None` where the rule set refuses such forks.
fn fork(
    guest: &Guest,
    slowness: &Slowness,
    report: &mut Report,
) -> Result<Option<(Guest, Cut)>, DemoError> {
    for attempt in 0..TRIES {
        match guest.fork(nowhere()) {
            Ok((child, cut)) if cut.transfers_in_flight > 0 => return Ok(Some((child, cut))),
            Ok(_) => {}
            Err(GuestError::Space(SpaceError::Busy { .. } | SpaceError::Wait { .. })) => {
                report.io.refused += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        if attempt + 1 == TRIES_AT_FULL_SPEED && slowness.hold_back() {
            report.io.notes.push(format!(
                "the disk is too fast to be met with transfers in flight: each is held back for {:?}",
                disk::HELD_BACK
            ));
        }
        STORM.wait(guest, STORM.progress(guest)?, 1)?;
    }
    match report.io.refused {
        0 => report.violations.push(format!("{TRIES} forks met no transfer in flight")),
        _ => report.io.notes.push("the rule set refuses to fork pinned pages".to_owned()),
    }
    Ok(None)
}

/// Lets both sides go on, each with its own salt; how many requests the child has issued again.
fn go_on(parent: &Guest, child: &Guest, number: u32) -> Result<u64, DemoError> {
    STORM.salt(child, 1 + u64::from(number))?;
    let (here, there) = (STORM.progress(parent)?, STORM.progress(child)?);
    child.machine().start()?;
    STORM.wait(parent, here, BETWEEN_FORKS)?;
    STORM.wait(child, there, BETWEEN_FORKS)?;
    Ok(child.disk_counts().iter().map(|counts| counts.reissued).sum())
}

fn tally(cut: &Cut, reissued: u64, who: &str, report: &mut Report) {
    let requests = cut.requests_in_flight as u64;
    report.io.in_flight.push(cut.transfers_in_flight);
    report.io.requests += requests;
    report.io.reissued += reissued;
    if reissued != requests {
        let count =
            format!("{requests} requests were in flight, its child issued {reissued} again");
        report.violations.push(format!("{who}: {count}"));
    }
}

/// Requests that a guest was not answered. Its storm has ended, so all should have been.
fn unanswered(guest: &Guest) -> u64 {
    let left = |counts: &crate::virtio::blk::BlkCounts| {
        counts.requests.saturating_sub(counts.answered) + counts.errors
    };
    guest.disk_counts().iter().map(left).sum()
}

/// Ends a guest's storm. Whether it found nothing, in memory and on its disk.
fn verify(guest: &Guest, who: &str, report: &mut Report) -> Result<bool, DemoError> {
    let StormEnd { findings, first, read_back, .. } = STORM.stop(guest)?;
    if read_back < STORM.sectors {
        report.violations.push(format!("{who}: {read_back} of its sectors were read back"));
    }
    for (kind, count) in &findings {
        report.violations.push(format!("{who}: {} {count} times; first {first:x?}", kind.name()));
    }
    Ok(findings.is_empty() && read_back >= STORM.sectors)
}
