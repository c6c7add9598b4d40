//! Slots go back to their store, when nothing on the device names them.

use super::*;

fn store() -> Arc<Store> {
    let file = DataFile::unnamed(&std::env::temp_dir(), false).unwrap();
    Store::new(Arc::new(file), ClusterSize::default(), 4, Vec::new())
}

#[test]
fn a_free_slot_is_used_again() {
    let store = store();
    let first = store.allocate(0).unwrap();
    let second = store.allocate(0).unwrap();
    assert_eq!((first.index(), second.index(), store.live()), (4, 5, 2));
    drop(first);
    assert_eq!((store.live(), store.reusable()), (1, 1));
    let third = store.allocate(1).unwrap();
    assert_eq!((third.index(), third.generation(), store.allocate_run(3).unwrap()), (4, 1, 6));
}

#[test]
fn a_slot_that_the_device_may_name_waits() {
    let store = store();
    let slots: Vec<_> = (0..2).map(|_| store.allocate(0).unwrap()).collect();
    slots.iter().for_each(|slot| slot.record());
    let mut slots = slots.into_iter();
    drop(slots.next());
    let mark = store.released();
    drop(slots.next());
    store.reuse(mark);
    assert_eq!(store.allocate(0).unwrap().index(), 4, "released before the mark");
    let held = [store.allocate(0).unwrap(), store.allocate(0).unwrap()];
    assert_eq!(held.each_ref().map(|slot| slot.index()), [4, 6], "5 was released after it");
}

#[test]
fn a_store_has_an_end() {
    let file = DataFile::unnamed(&std::env::temp_dir(), false).unwrap();
    let next = LARGEST_BYTES / ClusterSize::default().bytes();
    let store = Store::new(Arc::new(file), ClusterSize::default(), next, Vec::new());
    assert!(matches!(store.allocate(0), Err(DiskError::Full { .. })));
    assert!(store.allocate_run(u64::MAX).is_err());
    assert_eq!(store.live(), 0);
}
