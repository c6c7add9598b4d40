//! Cuts: forks and snapshots.

use std::sync::{Arc, Weak};

use super::base::Base;
use super::geometry::Geometry;
use super::handle::new_store;
use super::map::Map;
use super::store::Store;
use super::{Disk, DiskError, DiskOptions};

/// A disk as it was at a cut. It never changes.
///
/// Writes in flight at the cut had not happened for it; sectors that were being written in a raw
/// file itself are unreadable in its disks.
#[derive(Clone, Debug)]
pub struct DiskImage {
    geometry: Geometry,
    base: Arc<Base>,
    options: DiskOptions,
    read_only: bool,
    map: Map,
    lineage: Vec<Weak<Store>>,
}

impl DiskImage {
    /// A new disk that begins as the image is, and writes to an overlay of its own.
    ///
    /// # Errors
    ///
    /// [`DiskError::Scratch`].
    pub fn spawn(&self) -> Result<Disk, DiskError> {
        let store = || new_store(self.geometry, &self.base, &self.options);
        let store = (!self.read_only).then(store).transpose()?;
        Ok(self.born(store))
    }

    fn born(&self, store: Option<Arc<Store>>) -> Disk {
        let parent = (self.geometry, &self.base, &self.options);
        Disk::born(parent, self.map.clone(), self.lineage.clone(), store)
    }
}

/// A snapshot of which all that can fail is done. The disk has not changed, and does not if this is
/// dropped.
#[derive(Debug)]
#[must_use = "nothing has happened before `commit`"]
pub struct PlannedSnapshot<'a> {
    disk: &'a Disk,
    /// For a disk that was written in place until now.
    store: Option<Arc<Store>>,
}

impl PlannedSnapshot<'_> {
    /// Freezes the disk as it is now. It goes on above.
    #[must_use]
    pub fn commit(self) -> DiskImage {
        self.disk.cut(self.store)
    }
}

/// The same of a fork.
#[derive(Debug)]
#[must_use = "nothing has happened before `commit`"]
pub struct PlannedFork<'a> {
    snapshot: PlannedSnapshot<'a>,
    /// The child's. Disks that are only read have none.
    child: Option<Arc<Store>>,
}

impl PlannedFork<'_> {
    /// Makes the child, which begins as the disk is now, in the same cut for both.
    #[must_use]
    pub fn commit(self) -> Disk {
        self.snapshot.commit().born(self.child)
    }
}

impl Disk {
    /// Freezes the disk as it is, in an image, and goes on above.
    ///
    /// It waits for no transfer: those in flight go on and complete in this disk only.
    ///
    /// # Errors
    ///
    /// [`DiskError::Scratch`]; the disk is as before.
    pub fn snapshot(&self) -> Result<DiskImage, DiskError> {
        Ok(self.plan_snapshot()?.commit())
    }

    /// Makes a child that begins as this disk is, in the same cut for both.
    ///
    /// It waits for no transfer: those in flight go on and complete in this disk only. The child is
    /// to issue them again, or to fail them and [`Disk::settle`] their sectors.
    ///
    /// # Errors
    ///
    /// [`DiskError::Scratch`]; the disk is as before.
    pub fn fork(&self) -> Result<Self, DiskError> {
        Ok(self.plan_fork()?.commit())
    }

    /// Does all that can fail about a [snapshot](Self::snapshot), for a cut of which the disk is a part.
    ///
    /// # Errors
    ///
    /// [`DiskError::Scratch`].
    pub fn plan_snapshot(&self) -> Result<PlannedSnapshot<'_>, DiskError> {
        let in_place = !self.shared.read_only && self.shared.state.lock().store.is_none();
        let store = in_place.then(|| self.shared.new_store()).transpose()?;
        Ok(PlannedSnapshot { disk: self, store })
    }

    /// Does all that can fail about a [fork](Self::fork).
    ///
    /// # Errors
    ///
    /// [`DiskError::Scratch`].
    pub fn plan_fork(&self) -> Result<PlannedFork<'_>, DiskError> {
        let snapshot = self.plan_snapshot()?;
        let child = (!self.shared.read_only).then(|| self.shared.new_store()).transpose()?;
        Ok(PlannedFork { snapshot, child })
    }

    /// The cut itself, which cannot fail.
    fn cut(&self, planned: Option<Arc<Store>>) -> DiskImage {
        let shared = &self.shared;
        let mut state = shared.state.lock();
        // Another cut may have been faster with the same plan.
        if state.store.is_none() {
            state.store = planned;
        }
        DiskImage {
            geometry: shared.geometry,
            base: Arc::clone(&shared.base),
            options: shared.options.clone(),
            read_only: shared.read_only,
            map: state.cut(shared.geometry, !shared.options.visible_at_submission),
            lineage: state.ancestry(),
        }
    }
}
