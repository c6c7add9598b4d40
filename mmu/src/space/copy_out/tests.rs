use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::host::test_access::can_wait;
use crate::host::{BackingKind, CopyOutOptions, HostMemory, MemoryOptions};
use crate::live::LiveSpace;
use crate::rules::RuleSet;
use crate::space::{AddressSpace, FromDevice, PinRequest, ToDevice};
use crate::stats::Counts;
use crate::table::Entry;

const PAGES: u32 = 256;

/// Only what somebody wants is copied.
const ON_DEMAND: CopyOutOptions =
    CopyOutOptions { at_once: false, background_from: 1, on_demand: true, torn: false };

/// A guest that stands on an image, and has written every second page since: `1000 + page`.
fn guest(copy_out: CopyOutOptions) -> Arc<LiveSpace> {
    let backing = BackingKind::HostCow;
    let options = MemoryOptions { backing, copy_out, ..MemoryOptions::default() };
    let memory = HostMemory::new(PAGES, options).expect("a host that can");
    let family = Family::new(Arc::new(memory), RuleSet::SingleRefcount.into(), PAGES);
    let guest = AddressSpace::root(&family).expect("a first guest");
    (0..PAGES).for_each(|page| write(&guest, page, u64::from(page)));
    drop(guest.snapshot().expect("an image"));
    (0..PAGES).step_by(2).for_each(|page| write(&guest, page, 1000 + u64::from(page)));
    guest
}

fn at(page: u32) -> GuestAddress {
    GuestAddress(Gfn(page).offset() as u64)
}

fn write(space: &LiveSpace, page: u32, value: u64) {
    space.window().guest_memory().write_obj(value, at(page)).expect("guest memory");
}

fn read(space: &LiveSpace, page: u32) -> u64 {
    space.window().guest_memory().read_obj(at(page)).expect("guest memory")
}

/// What a page held when the guest was forked.
fn held(page: u32) -> u64 {
    u64::from(page) + if page.is_multiple_of(2) { 1000 } else { 0 }
}

fn counts(space: &LiveSpace) -> Counts {
    space.family().counts()
}

#[test]
fn both_sides_see_the_moment_and_then_what_they_write() {
    if !can_wait() {
        return;
    }
    let parent = guest(ON_DEMAND);
    let child = parent.fork().expect("room");
    let copy_out = parent.copy_out().expect("a copy-out");
    assert!(!copy_out.is_done(), "nothing is copied unasked");
    // The parent first, the child first, either's reads only, and nobody; pages written before and not.
    for page in [10, 11] {
        write(&parent, page, 1);
        assert_eq!((read(&parent, page), read(&child, page)), (1, held(page)));
    }
    for page in [50, 51] {
        write(&child, page, 2);
        assert_eq!((read(&parent, page), read(&child, page)), (held(page), 2));
        write(&parent, page, 3);
        assert_eq!((read(&parent, page), read(&child, page)), (3, 2));
    }
    assert_eq!((read(&parent, 90), read(&child, 92)), (held(90), held(92)));
    assert!(!copy_out.is_done());
    parent.finish_copy_out();
    assert!(copy_out.is_done());
    for page in (0..PAGES).filter(|page| ![10, 11, 50, 51].contains(page)) {
        assert_eq!((read(&parent, page), read(&child, page)), (held(page), held(page)));
        write(&parent, page, 4);
        assert_eq!((read(&parent, page), read(&child, page)), (4, held(page)));
    }
    parent.family().audit([]).expect("all references are counted");
}

/// What was replaced is shared: the parent has no page of its own but those that it wrote.
#[test]
fn when_all_is_copied_nothing_is_protected_and_all_is_shared() {
    let parent = guest(ON_DEMAND);
    let child = parent.fork().expect("room");
    write(&parent, 4, 1);
    let before = parent.census();
    assert_eq!((before.private, before.shared), (1, u64::from(PAGES) - 1));
    child.finish_copy_out();
    assert_eq!(parent.census().private, 1);
    assert_eq!(child.census().private, 0);
    let cow = parent.family().backing().host_cow().expect("hostcow");
    let all = Run::new(0, PAGES);
    assert_eq!(cow.copied(parent.window(), all), [Run::one(Gfn(4))]);
    assert_eq!(cow.copied(child.window(), all), []);
    let copied = counts(&parent);
    assert_eq!((copied.copied_out, copied.block_copied), (128, 127));
}

/// A guest that takes many pages back while mappings are short keeps what cannot be shared.
#[test]
fn what_would_take_too_many_mappings_stays_the_guests_own() {
    if !can_wait() {
        return;
    }
    let parent = guest(ON_DEMAND);
    let child = parent.fork().expect("room");
    (0..PAGES - 1).step_by(2).for_each(|page| write(&parent, page, 1));
    parent.finish_copy_out();
    (0..PAGES).for_each(|page| {
        let now = if page.is_multiple_of(2) { 1 } else { held(page) };
        assert_eq!((read(&parent, page), read(&child, page)), (now, held(page)));
    });
    let mappings = crate::host::mappings_in(parent.window().addresses()).expect("procfs").len();
    assert!(mappings as u64 <= parent.census().mappings, "{mappings}: {:?}", parent.census());
    assert!(parent.census().private > u64::from(PAGES) / 2);
}

#[test]
fn a_device_has_its_page_before_and_after_and_no_other() {
    let parent = guest(ON_DEMAND);
    let early = parent.pin::<FromDevice>(Gfn(20), PinRequest::TRANSFER).expect("a pin");
    let child = parent.fork().expect("room");
    let late = parent.pin::<FromDevice>(Gfn(22), PinRequest::TRANSFER).expect("a pin");
    let theirs = child.pin::<FromDevice>(Gfn(24), PinRequest::TRANSFER).expect("a pin");
    for (pin, value) in [(&early, 71_u64), (&late, 72), (&theirs, 73)] {
        let (layer, gfn) = pin.frame();
        layer.store().slice(Run::one(gfn)).write_obj(value, 0).expect("in range");
    }
    child.finish_copy_out();
    let seen = |space| [20, 22, 24].map(|page| read(space, page));
    assert_eq!(seen(&parent), [71, 72, held(24)]);
    assert_eq!(seen(&child), [held(20), held(22), 73]);
    assert_eq!(counts(&parent).early_copies, 1);
    let others = [&early, &late, &theirs].map(|pin| (pin.frame().0.id(), pin.frame().1));
    parent.family().audit(others).expect("all references are counted");
}

/// A page that nobody has written yet is pinned: the image's copy is no hole in which a child would wait.
#[test]
fn a_pinned_page_of_zeros_is_copied_early() {
    let parent = guest(ON_DEMAND);
    let child = parent.fork().expect("room");
    drop(parent);
    child.discard(Gfn(20)).expect("no pin");
    write(&child, 40, 1);
    let pin = child.pin::<ToDevice>(Gfn(20), PinRequest::TRANSFER).expect("a pin");
    let grandchild = child.fork().expect("room");
    assert_eq!((read(&grandchild, 20), read(&grandchild, 40)), (0, 1));
    drop(pin);
}

#[test]
fn a_root_that_is_pinned_where_it_wrote_nothing_is_forked_twice() {
    let backing = BackingKind::HostCow;
    let options = MemoryOptions { backing, copy_out: ON_DEMAND, ..MemoryOptions::default() };
    let memory = HostMemory::new(PAGES, options).expect("a host that can");
    let family = Family::new(Arc::new(memory), RuleSet::SingleRefcount.into(), PAGES);
    let root = AddressSpace::root(&family).expect("a first guest");
    let pin = root.pin::<ToDevice>(Gfn(7), PinRequest::TRANSFER).expect("a pin");
    drop(root.fork().expect("room"));
    write(&root, 8, 1);
    let child = root.fork().expect("room");
    assert_eq!((read(&child, 7), read(&child, 8)), (0, 1));
    drop(pin);
}

/// Copies may be in the layer where the first guest has never written most pages: those are holes for good.
#[test]
fn a_hole_that_nobody_fills_is_zeros() {
    let backing = BackingKind::HostCow;
    let options = MemoryOptions { backing, copy_out: ON_DEMAND, ..MemoryOptions::default() };
    let memory = HostMemory::new(PAGES, options).expect("private mappings");
    let family = Family::new(Arc::new(memory), RuleSet::SingleRefcount.into(), PAGES);
    let root = AddressSpace::root(&family).expect("a first guest");
    let mut together = 0;
    for value in 1..5 {
        write(&root, 7, value);
        let child = root.fork().expect("room");
        let layers = [7, 9].map(|page| match child.map().get(Gfn(page)) {
            Entry::Mapped(mapped) => mapped.layer,
            other => panic!("{other:?}"),
        });
        together += usize::from(value > 1 && layers[0] == layers[1]);
        assert_eq!([7, 9].map(|page| read(&child, page)), [value, 0]);
        write(&child, 10, 1);
        assert_eq!([7, 10].map(|page| read(&root, page)), [value, 0]);
        root.finish_copy_out();
    }
    assert!(together > 0, "no copy was in the first layer");
}

#[test]
fn discards_do_not_reach_the_other_side() {
    let parent = guest(ON_DEMAND);
    let child = parent.fork().expect("room");
    parent.discard(Gfn(30)).expect("no pin");
    child.discard(Gfn(32)).expect("no pin");
    child.finish_copy_out();
    let seen = |space| [30, 32].map(|page| read(space, page));
    assert_eq!((seen(&parent), seen(&child)), ([0, held(32)], [held(30), 0]));
}

/// Zeros that a discard has left are not there for the kernel: they are protected all the same.
#[test]
fn zeros_are_copied_like_other_bytes() {
    let parent = guest(ON_DEMAND);
    parent.discard(Gfn(30)).expect("no pin");
    let child = parent.fork().expect("room");
    write(&parent, 30, 5);
    assert_eq!((read(&parent, 30), read(&child, 30)), (5, 0));
}

#[test]
fn children_outlive_their_parent_and_parents_their_children() {
    let parent = guest(ON_DEMAND);
    let child = parent.fork().expect("room");
    write(&parent, 8, 1);
    drop(parent);
    (0..PAGES).for_each(|page| assert_eq!(read(&child, page), held(page)));
    (0..PAGES).for_each(|page| write(&child, page, 6));
    let grandchild = child.fork().expect("room");
    drop(grandchild);
    assert_eq!((read(&child, 8), read(&child, 9)), (6, 6));
    write(&child, 8, 7);
    let last = child.fork().expect("room");
    assert_eq!((read(&last, 8), read(&last, 9)), (7, 6));
}

/// An image is cloned while its frames are filled, by clones that come and go.
#[test]
fn a_snapshot_is_cloned_at_once() {
    let parent = guest(ON_DEMAND);
    let image = parent.snapshot().expect("room");
    write(&parent, 2, 1);
    let [one, other] = [(); 2].map(|()| image.spawn().expect("room"));
    write(&one, 4, 1);
    drop(one);
    (0..PAGES).for_each(|page| assert_eq!(read(&other, page), held(page)));
    drop((parent, image));
    (0..PAGES).for_each(|page| assert_eq!(read(&other, page), held(page)));
}

/// Pages that a child, read by many at once while they are filled, and a parent that writes them all,
/// had wrong. All words of a page hold the same number.
fn wrong_reads(copy_out: CopyOutOptions) -> usize {
    const WORDS: usize = crate::PAGE_SIZE / 8;
    let parent = guest(copy_out);
    for page in 0..PAGES {
        let words = u64::from(page + 1).to_ne_bytes().repeat(WORDS);
        parent.window().guest_memory().write_slice(&words, at(page)).expect("guest memory");
    }
    let child = parent.fork().expect("room");
    let going = AtomicBool::new(true);
    thread::scope(|threads| {
        let (child, going) = (&child, &going);
        let look = move |page: u32| {
            let mut words = vec![0; WORDS * 8];
            child.window().guest_memory().read_slice(&mut words, at(page)).expect("guest memory");
            let right = u64::from(page + 1).to_ne_bytes();
            usize::from(words.chunks(8).any(|word| word != right))
        };
        let reader = threads.spawn(move || {
            let mut wrong = 0;
            while going.load(Ordering::Relaxed) {
                wrong += (0..PAGES).map(look).sum::<usize>();
            }
            wrong + (0..PAGES).map(look).sum::<usize>()
        });
        (0..PAGES).for_each(|page| write(&parent, page, 0));
        parent.finish_copy_out();
        going.store(false, Ordering::Relaxed);
        reader.join().expect("a reader")
    })
}

#[test]
fn nobody_sees_a_page_that_is_half_full() {
    let background = CopyOutOptions { on_demand: false, ..ON_DEMAND };
    let wrong: usize = (0..30).map(|_| wrong_reads(background)).sum();
    assert_eq!(wrong, 0);
}

/// Control: a hole that is filled by memcpy has a page of zeros first.
#[test]
fn control_a_hole_that_is_filled_by_memcpy_is_seen_half_full() {
    if !can_wait() {
        return;
    }
    let torn = CopyOutOptions { on_demand: false, torn: true, ..ON_DEMAND };
    assert!((0..100).any(|_| wrong_reads(torn) > 0));
}
