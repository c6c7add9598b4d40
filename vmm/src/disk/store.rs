//! Stores: where the clusters of an overlay lie, each in a slot that knows its users.
//!
//! A store is a file that one disk allocates from. A slot is as large as a cluster, and counted: it
//! is held by every map that names it, every plan that reads it and every transfer into it. With its
//! last user it goes back to the store:
//!
//! - of a disk that lives: to be used again. In a store that outlives the process, a slot that the
//!   map on the device may name waits until a map is durable that does not;
//! - of a disk that is gone, whose children still use other slots: as a hole in the file.
//!
//! The file goes with the last of its slots.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use vmm_sys_util::fallocate::{FallocateMode, fallocate};

use super::DiskError;
use super::file::DataFile;
use super::geometry::ClusterSize;

#[cfg(test)]
mod tests;

/// Files end before this, as the kernel counts offsets in signed numbers.
const LARGEST_BYTES: u64 = i64::MAX as u64;

#[derive(Debug, Default)]
struct Slots {
    /// The first slot that was never given out.
    next: u64,
    free: Vec<u64>,
    /// Slots that the map on the device may name, with the number of their release.
    waiting: VecDeque<(u64, u64)>,
    /// How many were put into `waiting` so far.
    released: u64,
    live: usize,
    retired: bool,
}

/// A file of slots.
#[derive(Debug)]
pub(super) struct Store {
    file: Arc<DataFile>,
    cluster: ClusterSize,
    /// Locked last of all locks.
    slots: Mutex<Slots>,
}

/// A slot that is in use. It goes back to its store when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    store: Arc<Store>,
    index: u64,
    generation: u64,
    /// Whether a map on the device may name it.
    recorded: AtomicBool,
}

impl Store {
    /// A store over `file` whose slots from `next` on, and those in `free`, may be given out.
    pub(super) fn new(
        file: Arc<DataFile>,
        cluster: ClusterSize,
        next: u64,
        free: Vec<u64>,
    ) -> Arc<Self> {
        let slots = Mutex::new(Slots { next, free, ..Slots::default() });
        Arc::new(Self { file, cluster, slots })
    }

    /// Its file.
    pub(super) fn file(&self) -> &Arc<DataFile> {
        &self.file
    }

    /// How many slots have users.
    pub(super) fn live(&self) -> usize {
        self.slots.lock().live
    }

    /// How many slots inside the file could be used again, now or after the next flush.
    pub(super) fn reusable(&self) -> usize {
        let slots = self.slots.lock();
        slots.free.len() + slots.waiting.len()
    }

    /// Takes a slot that nobody uses, for writes of `generation`.
    pub(super) fn allocate(self: &Arc<Self>, generation: u64) -> Result<Arc<Slot>, DiskError> {
        let mut slots = self.slots.lock();
        let index = match slots.free.pop() {
            Some(index) => index,
            None => self.extend(&mut slots, 1)?,
        };
        slots.live += 1;
        Ok(self.slot(index, generation, false))
    }

    /// Takes `count` slots in a row, which were never used, for the map itself.
    pub(super) fn allocate_run(&self, count: u64) -> Result<u64, DiskError> {
        self.extend(&mut self.slots.lock(), count)
    }

    /// Gives back what [`Store::allocate_run`] took.
    pub(super) fn free_run(&self, first: u64, count: u64) {
        self.slots.lock().free.extend(first..first + count);
    }

    /// A slot that a map on the device names.
    pub(super) fn adopt(self: &Arc<Self>, index: u64, generation: u64) -> Arc<Slot> {
        self.slots.lock().live += 1;
        self.slot(index, generation, true)
    }

    /// The mark to give to [`Store::reuse`] once a map is durable that was captured now.
    pub(super) fn released(&self) -> u64 {
        self.slots.lock().released
    }

    /// The map on the device names no slot any more that was released before `mark`.
    pub(super) fn reuse(&self, mark: u64) {
        let mut slots = self.slots.lock();
        while let Some((_, index)) = slots.waiting.pop_front_if(|(number, _)| *number < mark) {
            slots.free.push(index);
        }
    }

    /// Nobody will allocate any more: what is free becomes holes.
    pub(super) fn retire(&self) {
        let free = {
            let mut slots = self.slots.lock();
            slots.retired = true;
            std::mem::take(&mut slots.free)
        };
        free.into_iter().for_each(|index| self.punch(index));
    }

    fn slot(self: &Arc<Self>, index: u64, generation: u64, recorded: bool) -> Arc<Slot> {
        let recorded = AtomicBool::new(recorded);
        Arc::new(Slot { store: Arc::clone(self), index, generation, recorded })
    }

    fn extend(&self, slots: &mut Slots, count: u64) -> Result<u64, DiskError> {
        let first = slots.next;
        let full = || DiskError::Full { path: self.file.path().to_owned(), limit: LARGEST_BYTES };
        let end = first.checked_add(count).ok_or_else(full)?;
        if end > LARGEST_BYTES / self.cluster.bytes() {
            return Err(full());
        }
        slots.next = end;
        Ok(first)
    }

    /// Gives the space of a slot back. A filesystem that cannot keeps it until the file goes.
    fn punch(&self, index: u64) {
        let bytes = self.cluster.bytes();
        let _ =
            fallocate(&**self.file.plain(), FallocateMode::PunchHole, true, index * bytes, bytes);
    }
}

impl Slot {
    /// The store that it lies in.
    pub(super) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Which slot of its store.
    pub(super) fn index(&self) -> u64 {
        self.index
    }

    /// The generation of the disk that may write into it.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Offset of its sector `within`, in bytes of the file.
    pub(super) fn offset(&self, within: u32) -> u64 {
        self.index * self.store.cluster.bytes() + u64::from(within) * super::SECTOR_BYTES
    }

    /// A map that names it is durable, or will be.
    pub(super) fn record(&self) {
        self.recorded.store(true, Ordering::Release);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut slots = self.store.slots.lock();
        slots.live -= 1;
        if self.recorded.load(Ordering::Acquire) {
            let number = slots.released;
            slots.released += 1;
            slots.waiting.push_back((number, self.index));
        } else if slots.retired {
            drop(slots);
            self.store.punch(self.index);
        } else {
            slots.free.push(self.index);
        }
    }
}
