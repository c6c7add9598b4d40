//! Who uses what, for reports and for tests that count.

use std::sync::Arc;

use serde::Serialize;

use super::Disk;

/// What a disk uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Disks and images above the same base, this one included.
    pub base_users: usize,
    /// Stores of ancestors that still have users.
    pub ancestor_stores: usize,
    /// Slots of this disk's store that any disk, image, plan or ticket holds.
    pub live_slots: usize,
    /// Slots of this disk's store that can be used again.
    pub reusable_slots: usize,
    /// Clusters of which the map knows something.
    pub mapped_clusters: usize,
    /// Sectors that are unreadable.
    pub unreadable_sectors: u64,
    /// Tickets that are neither complete nor failed.
    pub in_flight: usize,
}

impl Disk {
    /// Counts what this disk uses. It walks the whole map.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let state = self.shared.state.lock();
        let unreadable = |(_, entry): (u64, &super::map::Entry)| entry.unreadable.count_ones();
        Usage {
            base_users: Arc::strong_count(&self.shared.base),
            ancestor_stores: state.lineage.iter().filter(|it| it.strong_count() != 0).count(),
            live_slots: state.store.as_ref().map_or(0, |store| store.live()),
            reusable_slots: state.store.as_ref().map_or(0, |store| store.reusable()),
            mapped_clusters: state.map.entries().count(),
            unreadable_sectors: state.map.entries().map(unreadable).map(u64::from).sum(),
            in_flight: state.in_flight,
        }
    }
}
