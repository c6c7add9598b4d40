//! Forks between two turns of a storm, with transfers in flight.

use super::*;

/// Some turns of the storm, and of the device.
fn turns(machine: &mut Machine, count: u64) {
    for _ in 0..count {
        let mut storm = Storm::open(machine, CONTROL).expect("a storm");
        storm.turn(u64::MAX).expect("a turn");
        crate::disk::Bus::relax(machine);
    }
}

fn end(machine: &mut Machine) {
    set(machine, STOP, 1);
    let totals = Storm::open(machine, CONTROL).expect("a storm").run(0).expect("totals");
    assert_eq!(view(machine).first_finding(), None);
    assert_eq!((totals.findings, totals.read_back), (0, REGION.1));
    assert_eq!(verify(machine), []);
}

#[test]
fn both_sides_find_their_own_completions_and_go_on() {
    let mut parent = machine(32, 32, flag::ZEROS, INDIRECT);
    start(&mut parent);
    turns(&mut parent, 40);
    let mut side = 10;
    for fork in 0..20 {
        turns(&mut parent, fork);
        parent.held = true;
        turns(&mut parent, 3);
        assert!(view(&parent).word(IN_FLIGHT) > 8, "fork {fork}");
        assert_eq!(verify(&parent), [], "in flight");
        let mut child = parent.clone();
        (parent.held, child.held) = (false, false);
        side += 2;
        set(&mut parent, SALT, side);
        set(&mut child, SALT, side + 1);
        turns(&mut parent, 10);
        turns(&mut child, 25);
        assert_eq!((verify(&parent), verify(&child)), (vec![], vec![]));
        assert_ne!(parent.disk, child.disk, "both made the same choices");
        if fork % 4 == 0 {
            end(&mut child);
        } else if fork % 4 == 1 {
            end(&mut parent);
            parent = child;
        }
    }
    end(&mut parent);
    assert!(view(&parent).word(SALTS) > 10);
}

#[test]
fn a_sector_of_the_other_side_is_a_leak() {
    let mut parent = machine(8, 16, flag::ZEROS, 0);
    start(&mut parent);
    turns(&mut parent, 100);
    let mut child = parent.clone();
    set(&mut parent, SALT, 7);
    set(&mut child, SALT, 8);
    turns(&mut parent, 300);
    turns(&mut child, 300);
    child.disk.clone_from(&parent.disk);
    assert!(verify(&child).iter().any(|finding| finding.kind == FindingKind::Leak));
    set(&mut child, STOP, 1);
    let totals = Storm::open(&mut child, CONTROL).expect("a storm").run(0).expect("totals");
    assert!(totals.findings > 0 && view(&child).count(FindingKind::Leak) > 0);
}

#[test]
fn an_interrupted_change_of_stamps_is_no_finding() {
    use super::super::slot::{Slot, Word};
    let mut machine = machine(8, 16, flag::ZEROS, 0);
    storm(&mut machine, 100);
    let slot = Slot::new(view(&machine).plan(), 1);
    let (from, to) = slot.layout(&machine).gaps().next().expect("stamps");
    let middle = from + (to - from) / 2 + 3;
    stamps::write(&mut machine, 1234, from, middle);
    assert_eq!(verify(&machine).len(), 1);
    slot.set(&mut machine, Word::NextStamps, 1234);
    assert_eq!(verify(&machine), []);
}

#[test]
fn more_salts_than_are_remembered_do_no_harm() {
    let mut machine = machine(8, 4, flag::ZEROS, 0);
    start(&mut machine);
    for salt in 100..2500 {
        set(&mut machine, SALT, salt);
        turns(&mut machine, 1);
    }
    assert!(view(&machine).word(SALTS) > 2000);
    end(&mut machine);
}
