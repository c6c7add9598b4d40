use std::time::Instant;

use pincow_guest_protocol::Command;
use pincow_guest_protocol::map::TABLE_FIRST_PAGE;
use pincow_guest_protocol::table::table_checksum;

use super::*;
use crate::devices::serial::nowhere;
use crate::drive::{self, Churn};
use crate::guest::{BackingKind, Guest, GuestConfig, GuestError, Sharing, Snapshot};
use crate::kvm::tests::host;
use crate::payload::PAYLOAD;

const MEMORY: u64 = 16 << 20;
const PAGES: u64 = 1024;
/// What clones write.
const WRITTEN: u64 = 256;
const LONG: Duration = Duration::from_secs(60);

const LEARNED: Sharing =
    Sharing { rules: RULES, backing: BackingKind::HostCow, prefault: Prefault::Learned };
const RULES: pincow_mmu::Rules =
    pincow_mmu::Rules { set: pincow_mmu::RuleSet::SingleRefcount, mutant: None };

fn root() -> Option<Guest> {
    let root = Guest::boot(&host()?, MEMORY, LEARNED, GuestConfig::default(), PAYLOAD).unwrap();
    root.machine().start().unwrap();
    drive::wait_ready(&root).unwrap();
    Some(root)
}

fn call(guest: &Guest, command: Command) -> u64 {
    drive::call(guest, 0, command).unwrap()[0]
}

fn fill(guest: &Guest, pages: u64, seed: u64) {
    call(guest, Command::Fill { first: TABLE_FIRST_PAGE, pages, seed });
}

fn spawn(snapshot: &Snapshot) -> Guest {
    let clone = snapshot.spawn(nowhere()).unwrap();
    clone.machine().start().unwrap();
    clone
}

fn teach(snapshot: &Snapshot) {
    for seed in 1..4 {
        let teacher = spawn(snapshot);
        fill(&teacher, WRITTEN, seed);
        assert!(!teacher.is_prefaulted(), "nothing is known yet");
    }
}

fn wait_until_it_is_over(guest: &Guest) {
    let deadline = Instant::now() + LONG;
    while guest.is_prefaulted() {
        assert!(Instant::now() < deadline, "it does not end");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_clones_wrote_is_prefaulted_and_no_guest_can_tell() {
    let Some(root) = root() else { return };
    fill(&root, PAGES, 7);
    let (snapshot, _) = root.snapshot().unwrap();
    teach(&snapshot);
    let clone = spawn(&snapshot);
    wait_until_it_is_over(&clone);
    let all = Command::Check { first: TABLE_FIRST_PAGE, pages: PAGES, seed: 7 };
    assert_eq!(call(&clone, all), 0);
    // Written while it goes on beside: what was written last is there.
    for seed in 10..20 {
        let clone = spawn(&snapshot);
        fill(&clone, WRITTEN, seed);
        wait_until_it_is_over(&clone);
        let sum = call(&clone, Command::Sum { first: TABLE_FIRST_PAGE, pages: WRITTEN });
        assert_eq!(sum, table_checksum(TABLE_FIRST_PAGE, WRITTEN, seed));
        let first = TABLE_FIRST_PAGE + WRITTEN;
        let rest = Command::Check { first, pages: PAGES - WRITTEN, seed: 7 };
        assert_eq!(call(&clone, rest), 0);
    }
    assert_eq!(call(&root, all), 0);
    assert_eq!(root.realm().family().audit([]), Ok(()));
}

#[test]
fn clones_are_forked_paused_and_dropped_in_the_middle_of_it() {
    let Some(root) = root() else { return };
    const CHURN: Churn = Churn { pages: PAGES, seed: 5 };
    CHURN.start(&root).unwrap();
    CHURN.wait(&root, &[0], PAGES).unwrap();
    let (snapshot, _) = root.snapshot().unwrap();
    for _ in 0..3 {
        let teacher = spawn(&snapshot);
        CHURN.wait(&teacher, &CHURN.progress(&teacher).unwrap(), PAGES).unwrap();
    }
    for round in 0..12 {
        let clone = spawn(&snapshot);
        match round % 4 {
            0 => {
                let (child, _) = clone.fork(nowhere()).unwrap();
                assert!(!clone.is_prefaulted() && !child.is_prefaulted());
                child.machine().start().unwrap();
                CHURN.wait(&child, &CHURN.progress(&child).unwrap(), PAGES).unwrap();
                assert_eq!(CHURN.stop_and_verify(&child).unwrap(), []);
            }
            1 => {
                clone.stop_prefault();
                clone.machine().suspend().unwrap();
                assert!(!clone.is_prefaulted());
                clone.machine().start().unwrap();
            }
            2 => drop(clone.snapshot().unwrap()),
            _ => {
                drop(clone);
                continue;
            }
        }
        CHURN.wait(&clone, &CHURN.progress(&clone).unwrap(), PAGES).unwrap();
        assert_eq!(CHURN.stop_and_verify(&clone).unwrap(), []);
    }
    assert_eq!(CHURN.stop_and_verify(&root).unwrap(), []);
    assert_eq!(root.realm().family().audit([]), Ok(()));
    assert_eq!(root.realm().held_bytes().unwrap(), root.realm().resident_bytes().unwrap());
}

#[test]
fn it_goes_on_while_there_is_a_cpu_and_ends_when_there_is_none_for_long() {
    let Some(root) = root() else { return };
    fill(&root, PAGES, 7);
    let (snapshot, _) = root.snapshot().unwrap();
    teach(&snapshot);
    for is_free in [false, true] {
        let Some(prefaulter) = Prefaulter::start_with(move || is_free) else { return };
        let (space, work) = snapshot.image().spawn_learning().unwrap();
        let begun = prefaulter.begin(work.expect("what is known")).expect("a thread that waits");
        let deadline = Instant::now() + LONG;
        while !begun.is_over() {
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(space.census().private >= WRITTEN, is_free);
        assert_eq!(root.realm().counts().prefaulted >= WRITTEN, is_free);
    }
}

#[test]
fn a_crowd_of_clones_is_served_as_far_as_one_thread_gets() {
    let Some(root) = root() else { return };
    fill(&root, PAGES, 7);
    let (snapshot, _) = root.snapshot().unwrap();
    teach(&snapshot);
    let crowd: Vec<Guest> = (0..20).map(|_| spawn(&snapshot)).collect();
    for clone in &crowd {
        let all = Command::Check { first: TABLE_FIRST_PAGE, pages: PAGES, seed: 7 };
        assert_eq!(call(clone, all), 0);
    }
    drop(snapshot);
    drop(root);
    assert_eq!(crowd[0].realm().family().audit([]), Ok(()));
}

#[test]
fn where_the_host_copies_nothing_it_is_refused() {
    let Some(host) = host() else { return };
    let sharing = Sharing { backing: BackingKind::Trap, ..LEARNED };
    let refused = Guest::boot(&host, MEMORY, sharing, GuestConfig::default(), PAYLOAD);
    let refused = refused.err().unwrap();
    assert!(matches!(refused, GuestError::PrefaultUnderTrap));
    assert!(refused.to_string().contains("--backing hostcow"));
}
