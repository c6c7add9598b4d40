//! Forks and clones on the real KVM and real memory.

use std::sync::Arc;

use pincow_guest_protocol::map::TABLE_FIRST_PAGE;
use pincow_guest_protocol::{Command, table};
use pincow_mmu::rules::{RuleSet, Rules};

use super::*;
use crate::devices::serial::nowhere;
use crate::drive::{self, Churn};
use crate::kvm::tests::host;
use crate::payload::PAYLOAD;

const MEMORY: u64 = 16 << 20;
const PAGES: u64 = 256;
/// The page tables on the way to these pages and to the devices: the PML4, the pointers, two directories.
const TABLES_WALKED: u64 = 4;
const CHURN: Churn = Churn { pages: PAGES, seed: 3 };

fn boot(host: &Arc<Host>, sharing: impl Into<Sharing>) -> Guest {
    let guest = Guest::boot(host, MEMORY, sharing, GuestConfig::default(), PAYLOAD).unwrap();
    guest.machine().start().unwrap();
    guest
}

/// These sets on each backing that can carry them out.
pub(crate) fn everywhere(sets: &[RuleSet]) -> Vec<Sharing> {
    let on = |backing| {
        let sharing = move |set: &RuleSet| Sharing { backing, ..Rules::from(*set).into() };
        sets.iter().map(sharing).filter(|sharing| sharing.check().is_ok())
    };
    on(BackingKind::Trap).chain(on(BackingKind::HostCow)).collect()
}

#[test]
fn rules_that_the_host_cannot_carry_out_are_refused() {
    let Some(host) = host() else { return };
    let on_host = everywhere(&RuleSet::ALL)
        .into_iter()
        .filter(|sharing| sharing.backing == BackingKind::HostCow);
    assert_eq!(on_host.count(), 6);
    let sharing = Sharing { backing: BackingKind::HostCow, ..RuleSet::Wait.into() };
    let refused =
        Guest::boot(&host, MEMORY, sharing, GuestConfig::default(), PAYLOAD).err().unwrap();
    assert!(refused.to_string().contains("rules wait"), "{refused}");
}

fn call(guest: &Guest, command: Command) -> [u64; 4] {
    drive::call(guest, 0, command).unwrap()
}

#[test]
fn clones_of_a_snapshot_differ_only_in_what_they_write() {
    let Some(host) = host() else { return };
    for backing in [BackingKind::Trap, BackingKind::HostCow] {
        clone_and_compare(&host, Sharing { backing, ..Sharing::default() });
    }
}

fn clone_and_compare(host: &Arc<Host>, sharing: Sharing) {
    let root = boot(host, sharing);
    call(&root, Command::Fill { first: TABLE_FIRST_PAGE, pages: PAGES, seed: 7 });
    let (snapshot, _) = root.snapshot().unwrap();
    let clones: Vec<Guest> = (0..8).map(|_| snapshot.spawn(nowhere()).unwrap()).collect();
    for (own, clone) in (100..).zip(&clones) {
        clone.machine().start().unwrap();
        let first = TABLE_FIRST_PAGE + (own - 100) * 8;
        call(clone, Command::Fill { first, pages: 8, seed: own });
    }
    for (own, clone) in (100..).zip(&clones) {
        let first = TABLE_FIRST_PAGE + (own - 100) * 8;
        let sum = call(clone, Command::Sum { first, pages: 8 })[0];
        assert_eq!(sum, table::table_checksum(first, 8, own));
        let rest = Command::Check {
            first: first + 8,
            pages: TABLE_FIRST_PAGE + PAGES - first - 8,
            seed: 7,
        };
        assert_eq!(call(clone, rest)[0], 0);
    }
    // Each clone wrote its own eight pages, and its stack. Under nested paging each guest that went on
    // copied its page tables, too: see `boot::paging`.
    let (written, walked) = (8 * 9, 9 * TABLES_WALKED);
    let copied = root.realm().counts().copied;
    assert!([written, written + walked].contains(&copied), "{copied}");
    drop(root);
    drop(snapshot);
    assert_eq!(clones[0].realm().family().audit([]), Ok(()));
}

#[test]
fn a_running_guest_is_forked_and_both_sides_go_on_apart() {
    let Some(host) = host() else { return };
    for sharing in everywhere(&RuleSet::ALL) {
        let root = boot(&host, sharing);
        CHURN.start(&root).unwrap();
        CHURN.wait(&root, &[0], 3 * PAGES).unwrap();
        let mut side = root;
        let mut others = Vec::new();
        for salt in 1..4 {
            let (child, cut) = side.fork(nowhere()).unwrap();
            assert!(cut.was_mid_run());
            CHURN.salt(&child, salt).unwrap();
            child.machine().start().unwrap();
            let progress = |guest| CHURN.progress(guest).unwrap();
            let (there, here) = (progress(&child), progress(&side));
            CHURN.wait(&child, &there, 2 * PAGES).unwrap();
            CHURN.wait(&side, &here, 2 * PAGES).unwrap();
            others.push(std::mem::replace(&mut side, child));
        }
        others.push(side);
        for guest in &others {
            assert_eq!(CHURN.stop_and_verify(guest).unwrap(), [], "{sharing:?}");
        }
        assert_eq!(others[0].realm().family().audit([]), Ok(()), "{sharing:?}");
    }
}
