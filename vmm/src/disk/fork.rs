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

impl Disk {
    /// Freezes the disk as it is, in an image, and goes on above.
    ///
    /// It waits for no transfer: those in flight go on and complete in this disk only.
    ///
    /// # Errors
    ///
    /// [`DiskError::Scratch`]; the disk is as before.
    pub fn snapshot(&self) -> Result<DiskImage, DiskError> {
        let store = self.plan_cut()?;
        Ok(self.cut(store))
    }

    /// Makes a child that begins as this disk is, in the same cut for both.
    ///
    /// It waits for no transfer: those in flight go on and complete in this disk only. The child is
    /// to issue them again, or to fail them and [`Disk::settle`] their sectors.
    ///
    /// # Errors
    ///
    /// [`DiskError::Scratch`]; the disk is as before.
    pub fn fork(&self) -> Result<Disk, DiskError> {
        let store = self.plan_cut()?;
        let child = (!self.shared.read_only).then(|| self.shared.new_store()).transpose()?;
        Ok(self.cut(store).born(child))
    }

    /// All that can fail about a cut: a disk that was written in place needs a store from now on.
    fn plan_cut(&self) -> Result<Option<Arc<Store>>, DiskError> {
        let in_place = !self.shared.read_only && self.shared.state.lock().store.is_none();
        in_place.then(|| self.shared.new_store()).transpose()
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
