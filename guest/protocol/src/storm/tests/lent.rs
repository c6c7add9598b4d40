//! Pages that are given up, and discarded by the monitor between two turns; and discards on the disk.

use super::*;
use crate::map::PAGE_WORDS;
use crate::table::mix;

fn discard(machine: &mut Machine, page: u64) {
    (0..PAGE_WORDS).for_each(|word| machine.store(page, word, 0));
}

/// The first page of which the guest says this, after so many turns as it takes.
fn find(machine: &mut Machine, wanted: Lent) -> u64 {
    for _ in 0..2000 {
        let found = view(machine).lent().find(|(_, state)| *state == wanted);
        if let Some((page, _)) = found {
            return page;
        }
        turn(machine);
    }
    panic!("there is never a page that is {wanted:?}");
}

fn turn(machine: &mut Machine) {
    Storm::open(machine, CONTROL).expect("a storm").turn(u64::MAX).expect("a turn");
    crate::disk::Bus::relax(machine);
}

fn begun() -> Machine {
    let mut machine = machine(16, 16, flag::ZEROS | flag::LEND, INDIRECT);
    start(&mut machine);
    (0..50).for_each(|_| turn(&mut machine));
    machine
}

#[test]
fn what_is_given_up_may_be_discarded_at_any_time() {
    let mut machine = begun();
    let mut targets = 0;
    for round in 0..1000 {
        let lent: Vec<_> = view(&machine).lent().collect();
        for (page, state) in lent {
            let given_up = matches!(state, Lent::GivenUp | Lent::Target);
            if given_up && mix(round ^ page).is_multiple_of(8) {
                targets += u64::from(state == Lent::Target);
                discard(&mut machine, page);
            }
        }
        turn(&mut machine);
        assert_eq!(verify(&machine), []);
    }
    assert_eq!(view(&machine).first_finding(), None);
    assert!(view(&machine).word(DISCARDED) > 30 && targets > 5);
}

#[test]
fn a_page_that_is_kept_must_not_be_discarded() {
    let mut machine = begun();
    let page = find(&mut machine, Lent::Kept);
    discard(&mut machine, page);
    let found = verify(&machine);
    assert_eq!((found.len(), found[0].kind), (1, FindingKind::Corrupt));
    assert_eq!(found[0].address, page * 4096);
    (0..200).for_each(|_| turn(&mut machine));
    assert_eq!(view(&machine).count(FindingKind::Corrupt), 1);
}

#[test]
fn half_a_discard_is_found() {
    let mut machine = begun();
    let page = find(&mut machine, Lent::GivenUp);
    (0..PAGE_WORDS / 2).for_each(|word| machine.store(page, word, 0));
    assert_eq!(verify(&machine).len(), 1);
    (0..2000).for_each(|_| turn(&mut machine));
    assert_eq!(view(&machine).count(FindingKind::Corrupt), 1);
}

/// Reads three written sectors to a page that is given up, and says what the guest found then.
fn read_to_a_page(fault: Option<Fault>, discarded: bool) -> Vec<FindingKind> {
    let mut machine = machine(16, 16, flag::ZEROS | flag::LEND, 0);
    storm(&mut machine, 500);
    let is_written = |sector: &u64| {
        let expected = view(&machine).shadow(*sector).expected;
        matches!(expected, Expected::Written { .. })
    };
    let first = (REGION.0..REGION.0 + REGION.1 - 2)
        .find(|sector| (*sector..sector + 3).all(|sector| is_written(&sector)))
        .expect("three written sectors in a row");
    machine.fault = fault.map(|fault| (fault, 1));
    let mut storm = Storm::open(&mut machine, CONTROL).expect("a storm");
    let page = (0..1000).find_map(|_| storm.choose_target()).expect("a page that is given up");
    storm.prepare(0, crate::disk::Operation::Read, first, 3, Some(page));
    storm.submit();
    crate::disk::Bus::relax(storm.bus);
    let state = storm.plan.lent_entry(page.number);
    let page = page.address / 4096;
    if discarded {
        discard(&mut machine, page);
    }
    // A vCPU may be stopped, and the page discarded, between any two words that it reads.
    machine.guarded = Some((page, state));
    Storm::open(&mut machine, CONTROL).expect("a storm").drain().expect("an end");
    machine.guarded = None;
    let found = |kind: &FindingKind| view(&machine).count(*kind) > 0;
    FindingKind::ALL.into_iter().filter(found).collect()
}

#[test]
fn a_read_to_a_page_that_is_given_up_arrives_or_is_discarded() {
    assert_eq!(read_to_a_page(None, false), []);
    assert_eq!(read_to_a_page(None, true), []);
    assert_eq!(read_to_a_page(Some(Fault::LoseRead), false), [FindingKind::Lost]);
    assert_eq!(read_to_a_page(Some(Fault::Overrun), false), [FindingKind::Corrupt]);
}

#[test]
fn a_disk_that_promises_zeros_after_a_discard_must_keep_it() {
    let flags = flag::ZEROS | flag::DISCARD | flag::DISCARDED_ARE_ZEROS;
    let mut good = machine(16, 16, flags, 0);
    good.discarded = 0;
    assert_eq!(storm(&mut good, 800).findings, 0);
    assert_eq!(verify(&good), []);
    let mut bad = machine(16, 16, flags, 0);
    assert!(storm(&mut bad, 800).findings > 0);
}
