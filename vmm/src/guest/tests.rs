//! Forks and clones on the real KVM and real memory.

use std::sync::Arc;
use std::time::Duration;

use pincow_guest_protocol::control::{self, ControlView, Expected};
use pincow_guest_protocol::map::{TABLE_FIRST_PAGE, control_page};
use pincow_guest_protocol::{Command, Outcome, Status, page, table};
use pincow_mmu::rules::{RuleSet, Rules};
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::kvm::tests::host;
use crate::payload::PAYLOAD;

const LONG: Duration = Duration::from_secs(60);
const MEMORY: u64 = 16 << 20;
const PAGES: u64 = 256;

fn boot(host: &Arc<Host>, set: RuleSet) -> Guest {
    let guest =
        Guest::boot(host, MEMORY, Rules::from(set), GuestConfig::default(), PAYLOAD).unwrap();
    guest.machine().start().unwrap();
    guest
}

fn call(guest: &Guest, command: Command) -> [u64; 4] {
    let reply = guest.machine().mailbox(0).unwrap().call(command, LONG).unwrap();
    assert_eq!(reply.status(), Some(Status::Ok), "{command:?}");
    reply.values
}

fn set_word(guest: &Guest, word: usize, value: u64) {
    let address = control_page(0) + control::offset(word);
    guest.machine().ram().memory().write_obj(value, GuestAddress(address)).unwrap();
}

fn word(guest: &Guest, word: usize) -> u64 {
    let address = control_page(0) + control::offset(word);
    guest.machine().ram().memory().read_obj(GuestAddress(address)).unwrap()
}

fn page_of(guest: &Guest, number: u64) -> [u8; 4096] {
    let mut bytes = [0; 4096];
    let address = GuestAddress(number * 4096);
    guest.machine().ram().memory().read_slice(&mut bytes, address).unwrap();
    bytes
}

fn wait_for_progress(guest: &Guest, beyond: u64) {
    while word(guest, control::SEQUENCE) < beyond {
        assert_eq!(guest.machine().ended(), None);
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Stops the churn and checks every page against what the control page says.
fn stop_and_verify(guest: &Guest) -> Outcome {
    set_word(guest, control::STOP, 1);
    let reply = guest.machine().mailbox(0).unwrap().wait_reply(LONG).unwrap();
    let outcome = Outcome::from_values(reply.values);
    assert_eq!(outcome.mismatches, 0, "the guest found wrong pages");
    let view = ControlView::new(&page_of(guest, control_page(0) / 4096));
    for number in TABLE_FIRST_PAGE..TABLE_FIRST_PAGE + PAGES {
        match view.expected(number, false) {
            Expected::Page(header) => {
                page::verify_exact(&page_of(guest, number), &header).unwrap();
            }
            other => panic!("page {number}: {other:?}"),
        }
    }
    outcome
}

#[test]
fn clones_of_a_snapshot_differ_only_in_what_they_write() {
    let Some(host) = host() else { return };
    let root = boot(&host, RuleSet::SingleRefcount);
    call(&root, Command::Fill { first: TABLE_FIRST_PAGE, pages: PAGES, seed: 7 });
    let (snapshot, _) = root.snapshot().unwrap();
    let clones: Vec<Guest> =
        (0..8).map(|_| snapshot.spawn(Box::new(std::io::sink())).unwrap()).collect();
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
    // Each clone wrote its own eight pages, and its stack.
    assert_eq!(root.realm().counts().copied, 8 * 9);
    drop(root);
    drop(snapshot);
    assert_eq!(clones[0].realm().family().audit([]), Ok(()));
}

#[test]
fn a_running_guest_is_forked_and_both_sides_go_on_apart() {
    let Some(host) = host() else { return };
    for set in RuleSet::ALL {
        let root = boot(&host, set);
        let churn = Command::Churn { first: TABLE_FIRST_PAGE, pages: PAGES, seed: 3, limit: 0 };
        root.machine().mailbox(0).unwrap().post(churn).unwrap();
        wait_for_progress(&root, 3 * PAGES);
        let mut side = root;
        let mut others = Vec::new();
        for salt in 1..4 {
            let (child, cut) = side.fork(Box::new(std::io::sink())).unwrap();
            assert!(cut.was_mid_run());
            set_word(&child, control::SALT, salt);
            child.machine().start().unwrap();
            let (there, here) = (word(&child, control::SEQUENCE), word(&side, control::SEQUENCE));
            wait_for_progress(&child, there + 2 * PAGES);
            wait_for_progress(&side, here + 2 * PAGES);
            others.push(std::mem::replace(&mut side, child));
        }
        others.push(side);
        for guest in &others {
            stop_and_verify(guest);
        }
        assert_eq!(others[0].realm().family().audit([]), Ok(()), "{set}");
    }
}
