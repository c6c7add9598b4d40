use std::sync::Arc;

use super::*;
use crate::fake::{Fake, Trapped};
use crate::rules::{Duration, RuleSet};
use crate::space::{FromDevice, PinRequest};

const PAGE: Gfn = Gfn(1);

fn root(set: RuleSet) -> (Arc<Fake>, Arc<AddressSpace<Fake>>) {
    let fake = Arc::new(Fake::new(4, 1_000));
    let family = Family::new(Arc::clone(&fake), set.into(), 4);
    let root = AddressSpace::root(&family).unwrap();
    fake.cpu_write(root.window(), PAGE, 1, 7).unwrap();
    (fake, root)
}

#[test]
fn all_who_share_a_frame_lose_it_and_find_it_again() {
    let (fake, root) = root(RuleSet::SingleRefcount);
    let (image, child) = (root.snapshot().unwrap(), root.fork().unwrap());
    child.evict(PAGE).unwrap();
    assert_eq!(fake.objects().2, 1, "written once");
    for map in [root.map(), child.map(), image.map()] {
        assert!(matches!(map.get(PAGE), Entry::Swapped { .. }));
    }
    assert_eq!(root.census().swapped, 1);
    for space in [&root, &child, &image.spawn().unwrap()] {
        assert_eq!(fake.cpu_read(space.window(), PAGE), Err(Trapped));
        space.fault(PAGE, false).unwrap();
        assert_eq!(fake.cpu_read(space.window(), PAGE), Ok([0, 7]));
        assert_eq!(fake.cpu_write(space.window(), PAGE, 1, 8), Err(Trapped), "protected");
    }
    assert_eq!(fake.objects().2, 0, "read back once");
    // The image still leads to the swap, which therefore counts.
    let Entry::Mapped(mapped) = root.entry(PAGE).unwrap() else { panic!("it came back") };
    assert!(root.family().tally(mapped.layer, PAGE).swapped);
    root.family().audit([]).unwrap();
}

#[test]
fn a_page_that_is_evicted_already_is_left_alone() {
    let (fake, root) = root(RuleSet::SingleRefcount);
    root.evict(PAGE).unwrap();
    root.evict(PAGE).unwrap();
    root.write_protect(PAGE).unwrap();
    assert_eq!((fake.objects().2, root.family().counters().now().evicted), (1, 1));
    drop(root);
    assert_eq!(fake.objects(), (0, 0, 0));
}

/// What somebody still holds stays in memory as swap cache, and is what comes back.
#[test]
fn a_held_frame_comes_back_as_it_is() {
    let (fake, root) = root(RuleSet::Exclusive);
    let hold = root.hold(PAGE).unwrap();
    let frame = hold.frame().0.id();
    root.evict(PAGE).unwrap();
    assert_eq!(fake.objects().2, 0, "nothing was written");
    root.family().audit([(frame, PAGE)]).unwrap();
    root.fault(PAGE, true).unwrap();
    assert!(matches!(root.entry(PAGE), Ok(Entry::Mapped(mapped)) if mapped.layer == frame));
    assert_eq!(fake.cpu_read(root.window(), PAGE), Ok([0, 7]));
}

#[test]
fn pins_forbid_it_or_make_it_wait() {
    for (set, waits) in [(RuleSet::SingleRefcount, false), (RuleSet::Wait, true)] {
        let (_, root) = root(set);
        let request = PinRequest { duration: Duration::Short, counted: true };
        let pin = root.pin::<FromDevice>(PAGE, request).unwrap();
        let error = root.evict(PAGE).unwrap_err();
        assert_eq!(matches!(error, SpaceError::Wait { .. }), waits, "{set}: {error}");
        assert_eq!(matches!(error, SpaceError::Busy { .. }), !waits, "{set}: {error}");
        drop(pin);
        root.evict(PAGE).unwrap();
    }
}
