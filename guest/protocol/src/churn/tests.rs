use super::*;
use crate::control::{ControlView, Expected};
use crate::memory::fake::Ram;
use crate::page::{PageFault, verify_exact};

const CONTROL: u64 = 0;
const SEED_USED: u64 = 7;

fn region() -> Region {
    Region::new(1, 6).expect("a region")
}

fn started(salt: u64) -> Ram {
    let mut ram = Ram::new(8);
    ram.store(CONTROL, SALT, salt);
    start(&mut ram, CONTROL, region(), SEED_USED);
    ram
}

fn run_for(ram: &mut Ram, pages: u64) -> Outcome {
    run(ram, CONTROL, pages).expect("a churn was begun")
}

/// What the monitor does: every page is as the control page says.
fn verify_all(ram: &Ram) {
    let view = ControlView::new(&ram.page(CONTROL));
    for page in region().first()..region().end() {
        let Expected::Page(header) = view.expected(page, false) else {
            panic!("page {page} was not written")
        };
        assert_eq!(verify_exact(&ram.page(page), &header), Ok(()));
    }
}

#[test]
fn rounds_and_position_follow_from_the_pages_written() {
    let mut ram = started(1);
    let outcome = run_for(&mut ram, 20);
    assert_eq!((outcome.rounds, outcome.position, outcome.mismatches), (3, 2, 0));
    assert_eq!(outcome.checksum, table::sum(&ram, 1, 6));
    assert_eq!(Outcome::from_values(outcome.values()), outcome);
    verify_all(&ram);
    assert_eq!(run_for(&mut ram, 1).position, 3);
}

#[test]
fn stop_ends_the_run_and_is_cleared() {
    let mut ram = started(1);
    ram.store(CONTROL, STOP, 1);
    assert_eq!(run_for(&mut ram, 0).rounds, 0);
    assert_eq!(ram.load(CONTROL, STOP), 0);
    assert_eq!(run(&mut Ram::new(8), CONTROL, 1), None);
}

#[test]
fn both_sides_of_a_fork_go_on_and_verify() {
    let mut parent = started(1);
    run_for(&mut parent, 15);
    let mut child = parent.clone();
    parent.store(CONTROL, SALT, 2);
    child.store(CONTROL, SALT, 3);
    assert_eq!(run_for(&mut parent, 4).mismatches, 0);
    assert_eq!(run_for(&mut child, 9).mismatches, 0);
    verify_all(&parent);
    verify_all(&child);
    assert_eq!(run_for(&mut parent, 30).mismatches, 0);
    assert_eq!(run_for(&mut child, 30).mismatches, 0);
}

#[test]
fn a_page_of_the_other_side_is_noticed() {
    let mut parent = started(1);
    run_for(&mut parent, 12);
    let mut child = parent.clone();
    parent.store(CONTROL, SALT, 2);
    child.store(CONTROL, SALT, 3);
    run_for(&mut parent, 6);
    run_for(&mut child, 6);
    parent.0[4] = child.0[4];
    assert_eq!(run_for(&mut parent, 6).mismatches, 1);
    assert_eq!(parent.load(CONTROL, BAD_ADDRESS), 4 * PAGE_BYTES as u64);
    let found = PageHeader { page: 4, round: 2, salt: 3, seed: SEED_USED };
    assert_eq!(parent.load(CONTROL, BAD_FAULT), PageFault::Unexpected { found }.number());
}

#[test]
fn a_lost_a_torn_and_a_swapped_page_are_noticed() {
    let mut ram = started(1);
    run_for(&mut ram, 12);
    let before = ram.clone();
    run_for(&mut ram, 6);
    for spoil in [
        |ram: &mut Ram, old: &Ram| ram.0[2] = old.0[2],
        |ram: &mut Ram, old: &Ram| ram.0[2][300..].copy_from_slice(&old.0[2][300..]),
        |ram: &mut Ram, _: &Ram| ram.0[2] = ram.0[3],
        |ram: &mut Ram, _: &Ram| ram.0[2] = [0; 512],
    ] {
        let mut spoiled = ram.clone();
        spoil(&mut spoiled, &before);
        assert_eq!(run_for(&mut spoiled, 6).mismatches, 1);
        assert_eq!(run_for(&mut spoiled, 6).mismatches, 1, "it was written anew");
    }
}

#[test]
fn more_salts_than_the_log_holds_wait_until_they_fit() {
    let mut ram = Ram::new(102);
    let wide = Region::new(1, 100).expect("a region");
    start(&mut ram, CONTROL, wide, SEED_USED);
    for salt in 1..300 {
        ram.store(CONTROL, SALT, salt);
        assert_eq!(run_for(&mut ram, 1).mismatches, 0);
    }
    assert_eq!(run_for(&mut ram, 400).mismatches, 0);
    let newest = ram.load(CONTROL, log_pair(ram.load(CONTROL, SALTS) - 1) + 1);
    assert_eq!(newest, 299);
}

#[test]
fn last_written_is_the_newest_number_of_that_place() {
    let region = Region::new(10, 4).expect("a region");
    for sequence in 0..40 {
        for index in 0..4 {
            let expected = (0..sequence).rev().find(|number| number % 4 == index);
            assert_eq!(region.last_written(index, sequence), expected);
        }
    }
}

#[test]
fn a_region_has_pages_and_an_end() {
    assert_eq!(Region::new(1, 0), None);
    assert_eq!(Region::new(u64::MAX, 1), None);
    assert_eq!(region().index(0), None);
    assert_eq!(region().index(6), Some(5));
    assert_eq!(region().index(7), None);
}
