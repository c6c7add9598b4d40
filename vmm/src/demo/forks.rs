//! A chain of forks of a running guest: each side goes on writing, and each is verified.

use super::{Audience, CHURN_PAGES, DemoError, Plan, Report, SEED, audit};
use crate::devices::serial::nowhere;
use crate::drive::Churn;
use crate::guest::Guest;

const CHURN: Churn = Churn { pages: CHURN_PAGES, seed: SEED };

pub(super) fn show(
    root: Guest,
    plan: &Plan,
    audience: &mut dyn Audience,
    report: &mut Report,
) -> Result<(), DemoError> {
    CHURN.start(&root)?;
    CHURN.wait(&root, &CHURN.progress(&root)?, CHURN_PAGES)?;
    let mut guest = root;
    let mut whole = Vec::new();
    for number in 0..plan.forks {
        audience.step("forking the running guest", number, plan.forks);
        let child = fork(&guest, number, report)?;
        let parent = std::mem::replace(&mut guest, child);
        whole.push(verify(&parent, &format!("fork {number}, parent"), report)?);
        audit(&guest, &format!("after fork {number}"), report);
    }
    whole.push(verify(&guest, "the last child", report)?);
    // The guest between two forks is the child of one and the parent of the next.
    let both_sides = whole.windows(2).filter(|sides| sides[0] && sides[1]).count();
    report.forks_ok = u32::try_from(both_sides).unwrap_or(u32::MAX);
    let counts = guest.realm().counts();
    report.copied = counts.copies() + counts.block_copied;
    report.reused = counts.reused;
    Ok(())
}

/// Forks a running guest, and lets both sides go once round their pages, each with its own salt.
fn fork(guest: &Guest, number: u32, report: &mut Report) -> Result<Guest, DemoError> {
    let (child, cut) = guest.fork(nowhere())?;
    report.forks += 1;
    report.fork_times.push(cut.pause);
    report.forked_mid_run += u32::from(cut.was_mid_run());
    CHURN.salt(&child, 1 + u64::from(number))?;
    let (here, there) = (CHURN.progress(guest)?, CHURN.progress(&child)?);
    child.machine().start()?;
    CHURN.wait(guest, &here, CHURN_PAGES)?;
    CHURN.wait(&child, &there, CHURN_PAGES)?;
    Ok(child)
}

fn verify(guest: &Guest, who: &str, report: &mut Report) -> Result<bool, DemoError> {
    let mismatches = CHURN.stop_and_verify(guest)?;
    report.violations.extend(mismatches.iter().map(|mismatch| format!("{who}: {mismatch}")));
    Ok(mismatches.is_empty())
}
