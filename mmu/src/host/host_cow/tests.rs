use vm_memory::Bytes;

use super::*;
use crate::backing::Backing;
use crate::gfn::Gfn;
use crate::host::test_access::{load, store};
use crate::host::{BackingKind, MemoryOptions, mappings_in};
use crate::rules::RuleSet;
use crate::{AddressSpace, Family, PinRequest, ToDevice};

const PAGES: u32 = 64;
const ALL: Run = Run { first: Gfn(0), pages: PAGES };

fn memory() -> HostMemory {
    let options = MemoryOptions { backing: BackingKind::HostCow, ..MemoryOptions::default() };
    HostMemory::new(PAGES, options).expect("private mappings")
}

/// Frames in which word 0 of each is its number, shown twice.
fn scene(memory: &HostMemory) -> (Store, [Window; 2]) {
    let frames = memory.new_store().expect("store");
    let windows = [(); 2].map(|()| memory.new_window().expect("window"));
    for gfn in 0..PAGES {
        frames.slice(Run::one(Gfn(gfn))).write_obj(u64::from(gfn), 0).expect("in range");
    }
    for window in &windows {
        memory.map(window, &frames, ALL, Access::Protected).expect("mmap");
    }
    (frames, windows)
}

#[test]
fn a_write_copies_one_page_and_no_mapping_more() {
    let memory = memory();
    let (frames, [one, other]) = scene(&memory);
    for gfn in (0..PAGES).step_by(2) {
        store(&one, gfn, 0, 1000);
    }
    assert_eq!((load(&one, 2, 0), load(&other, 2, 0), load(&one, 3, 0)), (1000, 2, 3));
    assert_eq!(frames.slice(Run::one(Gfn(2))).read_obj::<u64>(0).expect("in range"), 2);
    assert_eq!(memory.copied(&one, ALL).len(), PAGES as usize / 2);
    assert_eq!(mappings_in(one.addresses()).expect("procfs").len(), 1);
}

#[test]
fn a_copy_is_made_on_demand_without_a_byte_changed() {
    let memory = memory();
    let (frames, [window, _]) = scene(&memory);
    memory.copy_now(&window, Run::new(4, 7)).expect("room");
    assert_eq!(memory.copied(&window, ALL), [Run::new(4, 7)]);
    assert_eq!(load(&window, 5, 0), 5);
    let own = memory.own_frames(&window);
    own.slice(Run::one(Gfn(5))).write_obj(77_u64, 8).expect("in range");
    assert_eq!((load(&window, 5, 0), load(&window, 5, 1)), (5, 77));
    assert_eq!(own.resident_bytes().expect("page tables"), 3 * 4096);
    assert!(own.is_anonymous() && !frames.is_anonymous());
}

#[test]
fn copies_are_made_ahead_in_many_places_and_nowhere_else() {
    let memory = memory();
    let (_frames, [window, _]) = scene(&memory);
    store(&window, 9, 0, 99);
    let places: Vec<Run> = (0..PAGES).step_by(4).map(|page| Run::new(page, page + 2)).collect();
    memory.copy_ahead(&window, &places).expect("room");
    assert_eq!(places[2], Run::new(8, 10));
    assert_eq!(memory.copied(&window, ALL), places);
    assert!(
        (0..PAGES).filter(|page| *page != 9).all(|page| load(&window, page, 0) == u64::from(page))
    );
    assert_eq!(load(&window, 9, 0), 99);
    memory.copy_ahead(&window, &[Run::new(10, 11), ALL]).expect("room");
    assert_eq!(memory.copied(&window, ALL), [ALL]);
}

/// Copies outlive the frames that they were made of, and their window.
#[test]
fn a_copy_stays_when_its_frame_is_punched_and_its_window_gone() {
    let memory = memory();
    let (frames, [window, other]) = scene(&memory);
    store(&window, 9, 1, 99);
    let own = memory.own_frames(&window);
    frames.punch(ALL);
    assert_eq!((load(&window, 9, 0), load(&window, 9, 1)), (9, 99));
    assert_eq!(load(&other, 9, 0), 0);
    memory.unmap(&window, Run::new(0, 9));
    memory.unmap(&window, Run::new(10, PAGES));
    drop(window);
    assert_eq!(own.slice(Run::one(Gfn(9))).read_obj::<u64>(8).expect("in range"), 99);
}

#[test]
fn what_is_replaced_shows_the_new_frames_and_what_is_cleared_zeros() {
    let memory = memory();
    let (_frames, [window, _]) = scene(&memory);
    store(&window, 9, 0, 99);
    store(&window, 10, 0, 100);
    let (own, copies) = (memory.own_frames(&window), memory.new_store().expect("store"));
    memory.copy(&own, &copies, Run::new(9, 11)).expect("room");
    memory.replace(&window, &copies, Run::new(9, 11));
    assert_eq!((load(&window, 9, 0), load(&window, 10, 0)), (99, 100));
    assert_eq!(memory.copied(&window, ALL), []);
    memory.clear(&window, Run::one(Gfn(10))).expect("mmap");
    assert_eq!((load(&window, 9, 0), load(&window, 10, 0)), (99, 0));
    store(&window, 10, 0, 5);
    assert_eq!(memory.copied(&window, ALL), [Run::one(Gfn(10))]);
}

/// What needs a userfaultfd says so.
#[test]
fn nothing_traps() {
    let memory = memory();
    let (_frames, [window, _]) = scene(&memory);
    for refused in [memory.protect(&window, ALL), memory.make_absent(&window, ALL)] {
        assert_eq!(refused.expect_err("no userfaultfd").source.kind(), ErrorKind::Unsupported);
    }
    store(&window, 1, 0, 1);
}

/// A device must not be given the zeros of everybody, in place of a page that its guest writes next.
#[test]
fn a_pin_has_a_cleared_page_made() {
    let memory = std::sync::Arc::new(memory());
    let family = Family::new(std::sync::Arc::clone(&memory), RuleSet::SingleRefcount.into(), PAGES);
    let root = AddressSpace::root(&family).expect("a first guest");
    let child = root.fork().expect("a child");
    for gfn in [5, 6] {
        child.discard(Gfn(gfn)).expect("not pinned");
    }
    assert_eq!(memory.copied(child.window(), ALL), [], "zeros take no memory");
    let pin = child.pin::<ToDevice>(Gfn(5), PinRequest::TRANSFER).expect("a pin");
    assert_eq!(memory.copied(child.window(), ALL), [Run::one(Gfn(5))]);
    drop(pin);
}
