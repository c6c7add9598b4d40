//! Stores on the real kernel, by its own accounting.

use std::sync::atomic::{AtomicBool, Ordering};

use vm_memory::Bytes;

use super::*;

fn page_of(store: &Store, gfn: u32) -> [u8; PAGE_SIZE] {
    let mut page = [0; PAGE_SIZE];
    store.read(Gfn(gfn), &mut page).expect("pread");
    page
}

fn fill(store: &Store, gfn: u32, byte: u8) {
    store.slice(Run::one(Gfn(gfn))).write_slice(&[byte; PAGE_SIZE], 0).expect("in range");
}

#[test]
fn frames_cost_memory_once_they_are_written() {
    let store = Store::new(1024).expect("store");
    assert_eq!(store.resident_bytes().expect("fstat"), 0);
    fill(&store, 7, 1);
    fill(&store, 1023, 2);
    assert_eq!(store.resident_bytes().expect("fstat"), 2 * PAGE_SIZE as u64);
    assert_eq!(page_of(&store, 500), [0; PAGE_SIZE]);
    assert_eq!(store.resident_bytes().expect("fstat"), 2 * PAGE_SIZE as u64, "pread of a hole");
}

#[test]
fn punched_frames_are_zeros_and_cost_nothing() {
    let store = Store::new(16).expect("store");
    (0..16).for_each(|gfn| fill(&store, gfn, 9));
    store.punch(Run::new(4, 12));
    assert_eq!(store.resident_bytes().expect("fstat"), 8 * PAGE_SIZE as u64);
    assert_eq!(page_of(&store, 4), [0; PAGE_SIZE]);
    assert_eq!(page_of(&store, 3), [9; PAGE_SIZE]);
    store.punch(Run::new(4, 4));
    assert_eq!(page_of(&store, 3), [9; PAGE_SIZE]);
}

#[test]
fn a_layer_cannot_be_resized() {
    let store = Store::new(4).expect("store");
    assert!(store.file().expect("memfd").set_len(0).is_err());
    assert!(store.file().expect("memfd").set_len(1 << 20).is_err());
}

#[test]
fn a_copy_keeps_holes_and_replaces_what_was_there() {
    let (from, to) = (Store::new(64).expect("store"), Store::new(64).expect("store"));
    for gfn in [3, 4, 9, 63] {
        fill(&from, gfn, gfn as u8);
    }
    fill(&to, 5, 0xEE);
    to.copy_from(&from, Run::new(2, 64)).expect("copy");
    for gfn in 0..64 {
        assert_eq!(page_of(&to, gfn), page_of(&from, gfn), "gfn {gfn}");
    }
    assert_eq!(to.resident_bytes().expect("fstat"), 4 * PAGE_SIZE as u64);
    assert_eq!(from.resident_bytes().expect("fstat"), 4 * PAGE_SIZE as u64);
    to.copy_from(&from, Run::new(0, 0)).expect("nothing to copy");
}

#[test]
fn single_frames_copy_at_the_end_too() {
    let (from, to) = (Store::new(2).expect("store"), Store::new(2).expect("store"));
    fill(&from, 1, 5);
    to.copy_from(&from, Run::one(Gfn(1))).expect("copy");
    to.copy_from(&from, Run::one(Gfn(0))).expect("copy");
    assert_eq!((page_of(&to, 0)[0], page_of(&to, 1)[0]), (0, 5));
}

#[test]
fn a_device_that_writes_meanwhile_disturbs_no_neighbour() {
    let (from, to) = (Store::new(8).expect("store"), Store::new(8).expect("store"));
    (0..8).for_each(|gfn| fill(&from, gfn, 1));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                fill(&from, 3, 2);
                fill(&from, 3, 1);
            }
        });
        for _ in 0..2000 {
            to.copy_from(&from, Run::new(0, 8)).expect("copy");
            assert!(page_of(&to, 3).iter().all(|byte| matches!(byte, 1 | 2)));
            assert_eq!(page_of(&to, 4), [1; PAGE_SIZE]);
            to.punch(Run::new(0, 8));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
#[should_panic(expected = "lies outside")]
fn an_address_beyond_the_layer_is_refused() {
    let _ = Store::new(4).expect("store").address(Gfn(4));
}
