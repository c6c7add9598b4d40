//! Clones of a snapshot: each changes its own part of the table and reports a checksum of all.

use std::time::Instant;

use pincow_guest_protocol::map::TABLE_FIRST_PAGE;
use pincow_guest_protocol::{Checksum, Command, word};

use super::memory::Usage;
use super::{Audience, CLONE_PAGES, DemoError, Plan, Report, SEED, audit};
use crate::devices::serial::nowhere;
use crate::drive;
use crate::guest::{Guest, Snapshot};

/// The first page of a clone's own part, and the seed that it fills it with.
fn own_part(number: u32, plan: &Plan) -> (u64, u64) {
    let parts = plan.table_pages() / CLONE_PAGES;
    let first = TABLE_FIRST_PAGE + u64::from(number) % parts * CLONE_PAGES;
    (first, 1000 + u64::from(number))
}

/// The checksum of a table in which only a clone's own part was changed.
fn expected_checksum(number: u32, plan: &Plan) -> u64 {
    let (own, seed) = own_part(number, plan);
    let mut checksum = Checksum::new();
    for page in TABLE_FIRST_PAGE..TABLE_FIRST_PAGE + plan.table_pages() {
        let seed = if (own..own + CLONE_PAGES).contains(&page) { seed } else { SEED };
        checksum.add(|index| word(seed, page, index));
    }
    checksum.finish()
}

pub(super) fn show(
    snapshot: &Snapshot,
    plan: &Plan,
    audience: &mut dyn Audience,
    report: &mut Report,
) -> Result<(), DemoError> {
    let before = Usage::now(snapshot.realm())?;
    let mut clones = Vec::new();
    for number in 0..plan.clones {
        audience.step("cloning the snapshot", number, plan.clones);
        clones.push(clone(snapshot, report)?);
    }
    for (number, clone) in (0..).zip(&clones) {
        audience.step("changing and checking the clones", number, plan.clones);
        change_and_check(number, clone, plan, report)?;
    }
    report.memory = Usage::now(snapshot.realm())?.since(&before, plan.clones);
    (report.shared_frames, report.private_frames) = snapshot.realm().family().frames();
    if let Some(clone) = clones.first() {
        audit(clone, "with all clones alive", report);
    }
    Ok(())
}

/// Makes a clone and waits for the first report of its own vCPU.
fn clone(snapshot: &Snapshot, report: &mut Report) -> Result<Guest, DemoError> {
    let begun = Instant::now();
    let clone = snapshot.spawn(nowhere())?;
    drive::post(&clone, 0, Command::Ping)?;
    clone.machine().start()?;
    drive::reply(&clone, 0, Command::Ping)?;
    report.clone_times.push(begun.elapsed());
    report.clones += 1;
    Ok(clone)
}

fn change_and_check(
    number: u32,
    clone: &Guest,
    plan: &Plan,
    report: &mut Report,
) -> Result<(), DemoError> {
    let (first, seed) = own_part(number, plan);
    drive::call(clone, 0, Command::Fill { first, pages: CLONE_PAGES, seed })?;
    let all = Command::Sum { first: TABLE_FIRST_PAGE, pages: plan.table_pages() };
    let [reported, ..] = drive::call(clone, 0, all)?;
    let expected = expected_checksum(number, plan);
    if reported == expected {
        report.clones_ok += 1;
    } else {
        let sums = format!("reported {reported:#x}, expected {expected:#x}");
        report.violations.push(format!("clone {number}: {sums}"));
    }
    Ok(())
}
