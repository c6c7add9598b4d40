//! One guest's storm, driven and watched from outside.

use pincow_guest_protocol::map::TABLE_FIRST_PAGE;
use pincow_guest_protocol::storm::{Finding, FindingKind, Totals, words};
use pincow_guest_protocol::{Command, control};

use super::{Plan, Report, StressError};
use crate::drive::{self, DriveError};
use crate::guest::Guest;

/// Sectors that a storm uses: 1 MiB.
pub(super) const SECTORS: u64 = 2048;

/// Pages of guest memory that a storm uses: 8 MiB.
pub(super) const PAGES: u64 = 2048;

/// The most sectors of one transfer.
const MOST_SECTORS: u64 = 32;

/// Of 256 transfers, those that write, and those whose buffers are aligned to nothing.
const WRITES: u64 = 128;
const UNALIGNED: u64 = 48;

/// The command that a storm is, for waiting for its reply.
fn command(plan: &Plan) -> Command {
    Command::DiskStorm { first: TABLE_FIRST_PAGE, pages: PAGES, seed: plan.seed, limit: 0 }
}

/// Sets the disk up and begins.
pub(super) fn start(guest: &Guest, plan: &Plan) -> Result<(), StressError> {
    drive::call(guest, 0, Command::DiskInit { device: 0, queue_size: 0, flags: 0 })?;
    let flags = words::flag::FRESH | words::flag::ZEROS | words::flag::FLUSH | words::flag::ZERO;
    let parameters = [
        (words::DEVICE, 0),
        (words::SECTOR, 0),
        (words::SECTORS, SECTORS),
        (words::DEPTH, plan.depth),
        (words::MOST, MOST_SECTORS),
        (words::WRITES, WRITES),
        (words::UNALIGNED, UNALIGNED),
        (words::FLAGS, flags),
    ];
    for (word, value) in parameters {
        drive::set_control_word(guest, 0, word, value)?;
    }
    Ok(drive::post(guest, 0, command(plan))?)
}

/// From now on the guest writes sectors that no other guest writes.
pub(super) fn salt(guest: &Guest, salt: u64) -> Result<(), DriveError> {
    drive::set_control_word(guest, 0, control::SALT, salt)
}

/// Ends it, with the reading back of all that it wrote, and takes over what it found.
pub(super) fn stop(
    guest: &Guest,
    (number, born_with): (u64, &Progress),
    plan: &Plan,
    report: &mut Report,
) -> Result<(), StressError> {
    drive::set_control_word(guest, 0, control::STOP, 1)?;
    let totals = Totals::from_values(drive::reply(guest, 0, command(plan))?);
    report.read_back += totals.read_back;
    let found = progress(guest)?.findings;
    let inherited = born_with.findings;
    for (kind, (found, inherited)) in
        FindingKind::ALL.into_iter().zip(found.into_iter().zip(inherited))
    {
        report.note(kind, found.saturating_sub(inherited));
    }
    if totals.findings > 0 && report.first.is_none() {
        let mut found = [0; 8];
        for (at, word) in (words::FIRST_FINDING..).zip(&mut found) {
            *word = drive::control_word(guest, 0, at)?;
        }
        report.first = Finding::from_words(found).map(|finding| (number, finding));
    }
    Ok(())
}

/// How far a guest is. A child begins with its parent's numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Transfers that it has seen the end of.
    pub(super) transfers: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Findings, in the order of [`FindingKind::ALL`].
    findings: [u64; FindingKind::ALL.len()],
}

/// Reads it from the guest's control page.
pub(super) fn progress(guest: &Guest) -> Result<Progress, DriveError> {
    let word = |word| drive::control_word(guest, 0, word);
    let mut findings = [0; FindingKind::ALL.len()];
    for (count, kind) in findings.iter_mut().zip(FindingKind::ALL) {
        *count = word(words::FINDINGS + kind as usize)?;
    }
    Ok(Progress { transfers: word(words::TRANSFERS)?, bytes: word(words::BYTES)?, findings })
}
