//! A snapshot that a session keeps.

use std::sync::atomic::{AtomicU32, Ordering};

use super::member::unix_ms;
use crate::control::SnapshotInfo;
use crate::guest::Snapshot;

pub(super) struct Kept {
    id: u32,
    of: u32,
    taken_unix_ms: u64,
    clones: AtomicU32,
    pub(super) snapshot: Snapshot,
}

impl Kept {
    pub(super) fn new(snapshot: Snapshot, id: u32, of: u32) -> Self {
        Self { id, of, taken_unix_ms: unix_ms(), clones: AtomicU32::new(0), snapshot }
    }

    /// A guest was made of it.
    pub(super) fn count_clone(&self) {
        self.clones.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn info(&self) -> SnapshotInfo {
        let &Self { id, of, taken_unix_ms, .. } = self;
        SnapshotInfo { id, of, taken_unix_ms, clones: self.clones.load(Ordering::Relaxed) }
    }
}
