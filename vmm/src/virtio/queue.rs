//! A queue as plain data.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use virtio_queue::{Queue, QueueState, QueueT};
use vm_memory::GuestMemory;

#[cfg(test)]
mod tests;

/// A saved queue that was not made live.
#[derive(Debug, Error)]
pub enum QueueError {
    /// A size or an alignment is not one that a queue can have.
    #[error("saved queue: {0}: it was damaged or made by something else")]
    Invalid(#[source] virtio_queue::Error),
    /// The rings are not in guest memory.
    #[error(
        "saved queue: rings at {desc_table:#x}, {avail_ring:#x} and {used_ring:#x} with {size} \
         entries are not in guest memory: restore it with the memory that it was saved with"
    )]
    Outside {
        /// Guest-physical address of the descriptor table.
        desc_table: u64,
        /// Guest-physical address of the available ring.
        avail_ring: u64,
        /// Guest-physical address of the used ring.
        used_ring: u64,
        /// Entries.
        size: u16,
    },
    /// The queues are not those of this device.
    #[error("the saved device has {found} queues that do not fit the {expected} of this one")]
    Number {
        /// How many the state has.
        found: usize,
        /// How many the device has.
        expected: usize,
    },
}

/// Where a queue's rings are, and how far the device is in them. Untrusted: see [`SavedQueue::live`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedQueue {
    /// The most entries that the device offers.
    pub max_size: u16,
    /// Entries.
    pub size: u16,
    /// Index of the next request to be taken, not reduced by the size.
    pub next_avail: u16,
    /// Index of the next used entry, not reduced by the size.
    pub next_used: u16,
    /// Whether EVENT_IDX was agreed on.
    pub event_idx: bool,
    /// Guest-physical address of the descriptor table.
    pub desc_table: u64,
    /// Guest-physical address of the available ring.
    pub avail_ring: u64,
    /// Guest-physical address of the used ring.
    pub used_ring: u64,
}

impl SavedQueue {
    /// A live queue's.
    #[must_use]
    pub fn of(queue: &Queue) -> Self {
        let state = queue.state();
        Self {
            max_size: state.max_size,
            size: state.size,
            next_avail: state.next_avail,
            next_used: state.next_used,
            event_idx: state.event_idx_enabled,
            desc_table: state.desc_table,
            avail_ring: state.avail_ring,
            used_ring: state.used_ring,
        }
    }

    /// The live queue.
    ///
    /// # Errors
    /// [`QueueError`] when no queue over `memory` can be like this.
    pub fn live<M: GuestMemory>(&self, memory: &M) -> Result<Queue, QueueError> {
        let Self { desc_table, avail_ring, used_ring, size, .. } = *self;
        let state = QueueState {
            max_size: self.max_size,
            next_avail: self.next_avail,
            next_used: self.next_used,
            event_idx_enabled: self.event_idx,
            size,
            ready: true,
            desc_table,
            avail_ring,
            used_ring,
        };
        let queue = Queue::try_from(state).map_err(QueueError::Invalid)?;
        match is_usable(&queue, memory) {
            true => Ok(queue),
            false => Err(QueueError::Outside { desc_table, avail_ring, used_ring, size }),
        }
    }
}

/// Whether the rings lie in `memory`. An available ring at address 0, which the queue crate takes
/// for a queue that was never set up, does not.
pub(crate) fn is_usable<M: GuestMemory>(queue: &Queue, memory: &M) -> bool {
    queue.avail_ring() != 0 && queue.is_valid(memory)
}
