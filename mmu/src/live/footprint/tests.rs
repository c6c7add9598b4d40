//! What pincow counts, beside what the kernel charges: after guests have written known numbers of pages.

use std::sync::Arc;

use vm_memory::Bytes;

use super::*;
use crate::backing::Backing;
use crate::gfn::Gfn;
use crate::host::test_access::store;
use crate::host::{BackingKind, MemoryOptions, anonymous_bytes_in};
use crate::live::attach;
use crate::rules::RuleSet;
use crate::{AddressSpace, FromDevice, PinRequest};

const PAGES: u32 = 256;
const BOTH: [BackingKind; 2] = [BackingKind::Trap, BackingKind::HostCow];

fn root(backing: BackingKind) -> Arc<LiveSpace> {
    let options = MemoryOptions { backing, ..MemoryOptions::default() };
    let memory = Arc::new(HostMemory::new(PAGES, options).unwrap());
    let root = AddressSpace::root(&Family::new(memory, RuleSet::default().into(), PAGES)).unwrap();
    attach(&root);
    root
}

/// Writes every `stride`th of the pages from `first` on, `pages` of them.
fn write(space: &LiveSpace, first: u32, pages: u32, stride: u32) {
    (0..pages).for_each(|page| store(space.window(), first + page * stride, 0, 7));
}

fn fork(parent: &LiveSpace) -> Arc<LiveSpace> {
    let child = parent.fork().unwrap();
    attach(&child);
    child
}

/// What the kernel charges: blocks of memfds, and copies in windows by its own account of mappings.
fn charged(family: &Family<HostMemory>, spaces: &[&Arc<LiveSpace>]) -> u64 {
    let memfds = family.each_store(|store| match store.is_anonymous() {
        true => Ok(0),
        false => store.resident_bytes(),
    });
    let memfds: u64 = memfds.into_iter().map(|bytes| bytes.unwrap()).sum();
    let copies = spaces.iter().map(|space| anonymous_bytes_in(space.window().addresses()).unwrap());
    memfds + copies.sum::<u64>()
}

fn pages(bytes: u64) -> u64 {
    assert!(bytes.is_multiple_of(PAGE_SIZE as u64));
    bytes / PAGE_SIZE as u64
}

/// Unique, shared and pinned pages.
fn footprint(space: &LiveSpace) -> (u64, u64, u64) {
    let Footprint { unique_bytes, shared_bytes, pinned_bytes } = space.footprint().unwrap();
    (pages(unique_bytes), pages(shared_bytes), pages(pinned_bytes))
}

#[test]
fn guests_are_charged_for_what_they_wrote_and_the_sum_is_the_kernels() {
    for backing in BOTH {
        let parent = root(backing);
        assert_eq!(footprint(&parent), (0, 0, 0), "{backing:?}: nobody has touched anything");
        write(&parent, 0, 100, 1);
        assert_eq!(footprint(&parent), (100, 0, 0), "{backing:?}");
        let image = parent.snapshot().unwrap();
        assert_eq!(footprint(&parent), (0, 100, 0), "{backing:?}");
        let [one, other] = [(); 2].map(|()| {
            let clone = image.spawn().unwrap();
            attach(&clone);
            clone
        });
        write(&one, 3, 20, 1);
        write(&other, 10, 5, 2);
        assert_eq!(footprint(&one), (20, 80, 0), "{backing:?}");
        assert_eq!(footprint(&other), (5, 95, 0), "{backing:?}");
        let child = fork(&one);
        write(&child, 3, 2, 1);
        let all = [&parent, &one, &other, &child];
        // The two pages that the child copied are still shared, by count or by image.
        let sum = parent.family().held_bytes().unwrap();
        assert_eq!(pages(charged(parent.family(), &all)), pages(sum), "{backing:?}");
        let unique: u64 = all.iter().map(|space| footprint(space).0).sum();
        assert!(pages(sum) == 100 + 20 + 5 + 2 && unique >= 7, "{backing:?}: {unique}");
        drop((image, parent, one, child));
        let sum = other.family().held_bytes().unwrap();
        assert_eq!(charged(other.family(), &[&other]), sum, "{backing:?}");
    }
}

#[test]
fn pinned_frames_are_told_and_stay_their_guests() {
    for backing in BOTH {
        let parent = root(backing);
        write(&parent, 0, 10, 1);
        let child = fork(&parent);
        let pins =
            [2, 3, 4].map(|gfn| child.pin::<FromDevice>(Gfn(gfn), PinRequest::TRANSFER).unwrap());
        assert_eq!(footprint(&child), (3, 7, 3), "{backing:?}");
        assert_eq!(footprint(&parent).2, 0, "{backing:?}");
        let grandchild = fork(&child);
        let copies = match backing {
            BackingKind::Trap => (3, 7, 0),
            // The image, on which it stands, has copies that are not the guest's alone.
            BackingKind::HostCow => (0, 10, 0),
        };
        assert_eq!(footprint(&grandchild), copies, "{backing:?}");
        drop(pins);
        assert_eq!(footprint(&child).2, 0, "{backing:?}");
    }
}

/// The negative control: memory that nobody's count knows of is missing in the sum, and found.
#[test]
fn control_a_frame_that_nobody_holds_is_missing_in_the_sum() {
    let parent = root(BackingKind::Trap);
    write(&parent, 0, 10, 1);
    let child = fork(&parent);
    let family = parent.family();
    let same = || family.held_bytes().unwrap() == charged(family, &[&parent, &child]);
    assert!(same());
    let leaked = Gfn(PAGES - 1);
    let layer = family.all_layers().into_iter().find(|layer| layer.is_free(leaked)).unwrap();
    layer.store().slice(Run::one(leaked)).write_obj(1_u64, 0).unwrap();
    assert!(!same());
    family.backing().punch(layer.store(), Run::one(leaked));
    assert!(same());
}

/// The negative control: who does not ask the page tables does not know of the kernel's copies.
#[test]
fn control_copies_that_nobody_has_heard_of_are_missing_in_the_sum() {
    let parent = root(BackingKind::HostCow);
    write(&parent, 0, 10, 1);
    let child = fork(&parent);
    write(&child, 0, 4, 1);
    let family = parent.family();
    let kernel = charged(family, &[&parent, &child]);
    let missing = kernel - family.held_bytes_as_heard().unwrap();
    assert_eq!(pages(missing), 4);
    assert_eq!(family.held_bytes().unwrap(), kernel);
}
