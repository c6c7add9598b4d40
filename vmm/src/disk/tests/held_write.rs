//! A write that is in flight at the cut, and lands afterwards.

use super::*;

#[test]
fn a_write_in_flight_has_not_happened_for_child_and_image() {
    let home = Home::new();
    let parent = home.above(options());
    write(&parent, 4, &[1, 1, 1, 1]);
    let held = parent.begin_write(5, 2).unwrap();
    let child = parent.fork().unwrap();
    let image = parent.snapshot().unwrap();
    assert_eq!(read(&child, 4, 4), [1, 1, 1, 1].map(Some));

    transfer(&held, &[2, 2]);
    let early = image.spawn().unwrap();
    for disk in [&parent, &child, &early] {
        assert_eq!(read(disk, 4, 4), [1, 1, 1, 1].map(Some), "landed, and not complete");
    }
    held.complete();
    assert_eq!(read(&parent, 4, 4), [1, 2, 2, 1].map(Some));
    for disk in [&child, &early, &image.spawn().unwrap()] {
        assert_eq!(read(disk, 4, 4), [1, 1, 1, 1].map(Some));
    }
    write(&child, 5, &[3, 3]);
    assert_eq!(read(&child, 4, 4), [1, 3, 3, 1].map(Some), "issued again");
    assert_eq!(read(&parent, 4, 4), [1, 2, 2, 1].map(Some));
}

#[test]
fn it_completes_in_the_parent_through_any_number_of_cuts() {
    let home = Home::new();
    let parent = home.above(options());
    let held = parent.begin_write(0, 9).unwrap();
    let children: Vec<_> = (0..5)
        .map(|number| {
            write(&parent, 20, &[number]);
            parent.fork().unwrap()
        })
        .collect();
    transfer(&held, &[7; 9]);
    held.complete();
    assert_eq!(read(&parent, 0, 9), [Some(7); 9]);
    for (number, child) in (0..).zip(&children) {
        assert_eq!(
            read(child, 0, 9),
            base_tokens()[..9].iter().copied().map(Some).collect::<Vec<_>>()
        );
        assert_eq!(one(child, 20), Some(number));
    }
}

#[test]
fn a_frozen_slot_takes_no_new_write() {
    let home = Home::new();
    let parent = home.above(options());
    write(&parent, 0, &[1]);
    let image = parent.snapshot().unwrap();
    write(&parent, 1, &[2]);
    write(&parent, 0, &[3]);
    assert_eq!(read(&image.spawn().unwrap(), 0, 2), [Some(1), Some(1_000_001)]);
    assert_eq!(read(&parent, 0, 2), [Some(3), Some(2)]);
}

#[test]
fn a_write_that_fails_leaves_the_old_bytes() {
    let home = Home::new();
    let disk = home.above(options());
    write(&disk, 3, &[1]);
    let held = disk.begin_write(3, 1).unwrap();
    transfer(&held, &[2]);
    held.fail();
    assert_eq!(one(&disk, 3), Some(1));
    drop(disk.begin_write(3, 1).unwrap());
    assert_eq!((one(&disk, 3), disk.usage().in_flight), (Some(1), 0));
}

#[test]
fn discards_and_zeroes_happen_when_they_complete() {
    let home = Home::new();
    let parent = home.above(options());
    write(&parent, 0, &[1; 16]);
    let zeroes = parent.begin_write_zeroes(2, 4).unwrap();
    let discard = parent.begin_discard(8, 8).unwrap();
    assert!(zeroes.extents().is_empty() && discard.extents().is_empty());
    let child = parent.fork().unwrap();
    zeroes.complete();
    discard.complete();
    assert_eq!(read(&child, 0, 16), [Some(1); 16]);
    let mut expected = [Some(1); 16];
    expected[2..6].fill(Some(0));
    expected[8..].fill(Some(0));
    assert_eq!(read(&parent, 0, 16), expected);
}

#[test]
fn in_place_it_is_unreadable_until_it_is_issued_again() {
    let home = Home::new();
    let parent = home.raw(options());
    let held = parent.begin_write(6, 4).unwrap();
    let child = parent.fork().unwrap();
    let image = parent.snapshot().unwrap();
    transfer(&held, &[2; 4]);
    held.complete();
    assert_eq!(read(&parent, 6, 4), [Some(2); 4]);
    let around = [Some(1_000_005), None, None, None, None, Some(1_000_010)];
    assert_eq!(read(&child, 5, 6), around);
    assert_eq!(read(&image.spawn().unwrap(), 5, 6), around);
    let grandchild = child.fork().unwrap();
    write(&child, 6, &[3; 4]);
    assert_eq!(read(&child, 6, 4), [Some(3); 4]);
    assert_eq!(read(&grandchild, 5, 6), around, "its own to issue again");
    assert_eq!(read(&parent.fork().unwrap(), 6, 4), [Some(2); 4], "born after it was complete");
}

#[test]
fn in_place_it_is_settled_once_and_for_all_when_it_is_failed() {
    let home = Home::new();
    let parent = home.raw(options());
    let held = parent.begin_write(6, 4).unwrap();
    let child = parent.fork().unwrap();
    write(&child, 7, &[9]);
    child.settle(0, SECTORS).unwrap();
    transfer(&held, &[2; 4]);
    held.complete();
    assert_eq!(read(&child, 6, 4), [Some(1_000_006), Some(9), Some(1_000_008), Some(1_000_009)]);
    assert_eq!(child.usage().unreadable_sectors, 0);
}

#[test]
fn what_is_settled_never_hides_a_write() {
    let home = Home::new();
    let parent = home.raw(options());
    let _held = parent.begin_write(6, 2).unwrap();
    let child = parent.fork().unwrap();
    let settling = child.begin_settling(6, 2).unwrap();
    write(&child, 6, &[5]);
    transfer(&settling, &[4, 4]);
    settling.complete();
    assert_eq!(read(&child, 6, 2), [Some(5), Some(4)]);
}

#[test]
fn a_raw_disk_is_written_in_place_until_it_forks() {
    let home = Home::new();
    let disk = home.raw(options());
    write(&disk, 0, &[1]);
    assert_eq!(token_of(&home.base_bytes()[..512]), 1);
    let image = disk.snapshot().unwrap();
    let frozen = home.base_bytes();
    write(&disk, 0, &[2; 20]);
    disk.begin_discard(30, 4).unwrap().complete();
    assert_eq!(home.base_bytes(), frozen);
    assert_eq!((one(&disk, 0), one(&disk, 31)), (Some(2), Some(0)));
    assert_eq!(one(&image.spawn().unwrap(), 0), Some(1));
}

#[test]
fn the_control_shows_that_these_tests_can_fail() {
    let home = Home::new();
    let broken = DiskOptions { visible_at_submission: true, ..options() };
    for open in [Home::above, Home::raw] {
        let parent = open(&home, broken.clone());
        let held = parent.begin_write(5, 1).unwrap();
        let image = parent.snapshot().unwrap();
        let see = || {
            let disk = image.spawn().unwrap();
            let plan = disk.read_plan(5, 1).unwrap();
            let Place::File { file, offset } = &plan.extents()[0].place else { return None };
            let mut bytes = [0; 512];
            // What was never written may lie behind the end of the file.
            let _ = file.read_exact_at(&mut bytes, *offset);
            Some(token_of(&bytes))
        };
        let before = see();
        transfer(&held, &[2]);
        held.complete();
        assert_ne!(before, see(), "an image changed after its birth, and nobody noticed");
    }
}
