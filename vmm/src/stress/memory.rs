//! What happens to the memory of a guest: pages are evicted, and those that it has given up
//! discarded.

use parking_lot::Mutex;
use pincow_guest_protocol::map::{DISK_STRIDE, PAGE_BYTES, disk_place};
use pincow_guest_protocol::storm::Lent;
use pincow_mmu::scenario::Random;
use pincow_mmu::{Gfn, SpaceError};

use super::finding::{Finding, Kind};
use super::member::Member;
use super::{Plan, Report, StressError, inspect, storm};
use crate::drive;
use crate::machine::PauseError;

/// Pages that one eviction looks at.
const EVICTED_AT_ONCE: usize = 8;

/// Of so many pages that are evicted, one is the disk driver's.
const DRIVERS: u64 = 4;

/// One of so many pages that could be discarded is left alone.
const SPARED: u64 = 3;

/// Evicts pages that a guest uses: those of its transfers and tables, and of its disk driver.
pub(super) fn evict(
    member: &Member,
    pages: u64,
    plan: &Plan,
    report: &Mutex<Report>,
) -> Result<(), StressError> {
    let mut random = Random::new(pages);
    for _ in 0..EVICTED_AT_ONCE {
        let vcpu = random.below(plan.vcpus.into()) as u32;
        let page = match random.below(DRIVERS) {
            0 => (disk_place(vcpu as usize) + random.below(DISK_STRIDE)) / PAGE_BYTES as u64,
            _ => {
                let area = storm::area(plan, vcpu);
                area.start + random.below(area.end - area.start)
            }
        };
        match member.guest.space().evict(Gfn(page as u32)) {
            Ok(()) => {}
            Err(SpaceError::Busy { .. } | SpaceError::Wait { .. }) => {
                report.lock().evictions_refused += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Discards pages that a guest has given up, while its vCPUs stand still. Its transfers go on, and
/// may be on their way to the very pages: then a discard is refused.
pub(super) fn discard(
    member: &Member,
    pages: u64,
    plan: &Plan,
    report: &Mutex<Report>,
) -> Result<(), StressError> {
    let mut random = Random::new(pages);
    let paused = match member.guest.machine().pause() {
        Ok(paused) => paused,
        Err(PauseError::Stopped { reason }) => {
            report.lock().found(member.ended(reason.to_string()));
            return Ok(());
        }
    };
    for (page, state) in inspect::lent(&member.guest, plan)? {
        let spared = random.below(SPARED) == 0;
        let given_up = matches!(state, Lent::GivenUp | Lent::Target);
        if spared || !given_up {
            continue;
        }
        match member.guest.space().discard(Gfn(page as u32)) {
            Ok(()) => report.lock().discards += 1,
            Err(SpaceError::Busy { .. } | SpaceError::Wait { .. }) => {
                report.lock().discards_refused += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        // The transfer to a target may begin only now, and end before the look.
        let bytes = drive::page_bytes(&member.guest, page)?;
        if state == Lent::GivenUp && bytes != [0; PAGE_BYTES] {
            report.lock().found(not_zeros(member.number, page, &bytes));
        }
    }
    drop(paused);
    Ok(())
}

fn not_zeros(guest: u64, page: u64, bytes: &[u8; PAGE_BYTES]) -> Finding {
    let at = bytes.iter().position(|byte| *byte != 0).unwrap_or(0);
    let address = page * PAGE_BYTES as u64 + at as u64;
    let found = format!("{:#04x}", bytes[at]);
    let plain = Finding::plain(Kind::Discard, Some(guest), "zeros after a discard", found);
    Finding { gfn: Some(page), address: Some(address), ..plain }
}
