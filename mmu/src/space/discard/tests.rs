use std::sync::Arc;

use super::*;
use crate::fake::Fake;
use crate::family::Family;
use crate::rules::RuleSet;
use crate::space::{FromDevice, PinRequest};

mod runs;

const PAGE: Gfn = Gfn(2);

fn root() -> (Arc<Fake>, Arc<AddressSpace<Fake>>) {
    let fake = Arc::new(Fake::new(4, 1_000));
    let family = Family::new(Arc::clone(&fake), RuleSet::SingleRefcount.into(), 4);
    let root = AddressSpace::root(&family).unwrap();
    fake.cpu_write(root.window(), PAGE, 1, 7).unwrap();
    (fake, root)
}

#[test]
fn a_frame_of_its_own_is_cleared_in_place() {
    let (fake, root) = root();
    let before = root.entry(PAGE).unwrap();
    root.discard(PAGE).unwrap();
    assert_eq!(root.entry(PAGE).unwrap(), before);
    assert_eq!(fake.cpu_read(root.window(), PAGE), Ok([0, 0]));
}

#[test]
fn a_shared_or_evicted_page_is_only_left() {
    let (fake, root) = root();
    let child = root.fork().unwrap();
    root.discard(PAGE).unwrap();
    assert_eq!(fake.cpu_read(root.window(), PAGE), Ok([0, 0]));
    assert_eq!(fake.cpu_read(child.window(), PAGE), Ok([0, 7]));
    fake.cpu_write(root.window(), PAGE, 1, 8).unwrap();

    child.evict(PAGE).unwrap();
    child.discard(PAGE).unwrap();
    assert_eq!(fake.cpu_read(child.window(), PAGE), Ok([0, 0]));
    assert_eq!(fake.objects().2, 0, "its place in the swap is free");
    assert_eq!(root.family().counters().now().discarded, 2);
    root.family().audit([]).unwrap();
}

#[test]
fn a_pinned_page_keeps_its_bytes() {
    let (fake, root) = root();
    let pin = root.pin::<FromDevice>(PAGE, PinRequest::TRANSFER).unwrap();
    assert!(matches!(root.discard(PAGE), Err(SpaceError::Busy { gfn: PAGE, .. })));
    assert_eq!(fake.cpu_read(root.window(), PAGE), Ok([0, 7]));
    drop(pin);
    root.discard(PAGE).unwrap();
}

/// Where the host copies: whatever the page was, its guest sees zeros, and nobody else does.
#[test]
fn a_page_that_the_host_copies_is_cleared_in_the_window_alone() {
    let fake = Arc::new(Fake::new(4, 1_000).copying());
    let family = Family::new(Arc::clone(&fake), RuleSet::Exclusive.into(), 4);
    let root = AddressSpace::root(&family).unwrap();
    fake.cpu_write(root.window(), PAGE, 1, 7).unwrap();
    // Kept by the fork, since it is pinned; then a reference alone forbids nothing to these rules.
    let pin = root.pin::<FromDevice>(PAGE, PinRequest::TRANSFER).unwrap();
    let child = root.fork().unwrap();
    let hold = root.hold(PAGE).unwrap();
    drop(pin);
    for _ in 0..3 {
        root.discard(PAGE).unwrap();
        child.discard(PAGE).unwrap();
    }
    let seen = [&root, &child].map(|space| fake.cpu_read(space.window(), PAGE));
    assert_eq!(seen, [Ok([0, 0]), Ok([0, 0])]);
    let (layer, gfn) = hold.frame();
    family.audit([(layer.id(), gfn)]).unwrap();
    assert_eq!(family.tally(layer.id(), gfn).refs, 1, "the guest has left it");
    root.check_mappings().unwrap();
    drop((hold, root, child));
    assert_eq!(family.layers(), 0);
}

/// A guest that discards one page for ever takes no more of the host for it than once.
#[test]
fn zeros_over_zeros_cost_no_mapping_more() {
    let fake = Arc::new(Fake::new(4, 1_000).copying());
    let family = Family::new(Arc::clone(&fake), RuleSet::SingleRefcount.into(), 4);
    let root = AddressSpace::root(&family).unwrap();
    let child = root.fork().unwrap();
    child.discard(PAGE).unwrap();
    let once = child.census().mappings;
    for _ in 0..1_000 {
        child.discard(PAGE).unwrap();
    }
    assert_eq!(child.census().mappings, once);
    // Which a fork forgets with the zeros.
    let _grandchild = child.fork().unwrap();
    child.discard(PAGE).unwrap();
    child.check_mappings().unwrap();
}
