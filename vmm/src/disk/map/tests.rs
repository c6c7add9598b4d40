//! Entries: one place for each sector.

use std::sync::Arc;

use super::*;
use crate::disk::ClusterSize;
use crate::disk::file::DataFile;
use crate::disk::store::Store;

fn store() -> Arc<Store> {
    let file = DataFile::unnamed(&std::env::temp_dir(), false).unwrap();
    Store::new(Arc::new(file), ClusterSize::default(), 0, Vec::new())
}

#[test]
fn the_newest_place_wins_and_empty_slots_go() {
    let store = store();
    let slots = [store.allocate(0).unwrap(), store.allocate(0).unwrap()];
    let (mut entry, mut garbage) = (Entry::default(), Garbage::new());
    entry.land(&slots[0], 0b1111, &mut garbage);
    entry.land(&slots[1], 0b0110, &mut garbage);
    assert_eq!(entry.parts.iter().map(|part| part.valid).collect::<Vec<_>>(), [0b1001, 0b0110]);
    entry.clear(0b1001, &mut garbage);
    assert_eq!((entry.parts.len(), entry.zero, garbage.len()), (1, 0b1001, 1));
    entry.unreadable = 0b1_0000;
    assert_eq!(entry.known(), 0b1_1111);
    entry.land(&slots[0], 0b1_0001, &mut garbage);
    assert_eq!((entry.zero, entry.unreadable), (0b1000, 0));
    assert!(matches!(entry.source(5), Source::Base(same) if same == !0b1_1111));
    assert!(matches!(entry.source(3), Source::Zeroes(0b1000)));
    assert!(
        matches!(entry.source(4), Source::Slot(slot, 0b1_0001) if Arc::ptr_eq(slot, &slots[0]))
    );
}

#[test]
fn landing_nothing_changes_nothing() {
    let slot = store().allocate(0).unwrap();
    let (mut entry, mut garbage) = (Entry::default(), Garbage::new());
    entry.land(&slot, 0, &mut garbage);
    assert!(entry.parts.is_empty() && garbage.is_empty());
}

#[test]
fn a_copy_is_not_changed_through_the_original() {
    let mut garbage = Garbage::new();
    let mut map = Map::new(1000);
    map.edit(700).clear(1, &mut garbage);
    let copy = map.clone();
    map.edit(700).clear(2, &mut garbage);
    map.edit(3).clear(4, &mut garbage);
    assert_eq!(copy.get(700).unwrap().zero, 1);
    assert!(copy.get(3).is_none());
    let all = |map: &Map| map.entries().map(|(at, entry)| (at, entry.zero)).collect::<Vec<_>>();
    assert_eq!(all(&map), [(3, 4), (700, 3)]);
    assert_eq!(all(&copy), [(700, 1)]);
}
