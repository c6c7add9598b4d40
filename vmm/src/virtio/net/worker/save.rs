//! A worker as plain data.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use vm_memory::GuestMemory;

use super::{NetWorker, QUEUE_SIZE, QUEUES, TRANSMIT};
use crate::virtio::net::frames::Link;
use crate::virtio::net::mac::Mac;
use crate::virtio::queue::{QueueError, SavedQueue};
use crate::virtio::queues::Queues;
use crate::virtio::signals::Signals;

/// A worker's queues and identity. Untrusted: see [`NetWorker::restore`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetState {
    /// Receive and transmit queue; `None` for one that the driver does not use. Empty before it is
    /// ready.
    pub queues: Vec<Option<SavedQueue>>,
    /// How many frames the driver had made available that were not taken. The original sends them.
    pub untaken: u16,
    /// The card's address.
    pub mac: Mac,
    /// Whether the card was plugged into a link.
    pub up: bool,
    /// Whether the driver is still to be told of a change of these.
    pub changed: bool,
}

/// A saved card that was not made live.
#[derive(Debug, Error)]
pub enum NetRestoreError {
    /// A queue is wrong.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// More frames than there can be.
    #[error(
        "saved network card: {untaken} frames wait in a transmit queue with {size} entries: it was \
         damaged"
    )]
    Untaken {
        /// What the state has.
        untaken: u16,
        /// Entries of the queue; 0 where there is none.
        size: u16,
    },
}

impl<M: GuestMemory> NetWorker<M> {
    /// What a copy of the guest needs to go on. No vCPU may run, so that the frames that are
    /// available are those of this moment.
    #[must_use]
    pub fn save(&self) -> NetState {
        // Where the ring is nonsense, the copy's step will find it so, too.
        let untaken = self.queues.untaken(TRANSMIT, &self.memory).unwrap_or(0);
        let (mac, up) = (self.card.mac(), self.card.is_up());
        NetState { queues: self.queues.save(), untaken, mac, up, changed: self.changed }
    }

    /// The worker that `state` describes, with a link of its own, or none, and the address `mac`. It
    /// touches guest memory at its first [step](Self::step), when it also interrupts: doorbells and
    /// interrupts do not survive a copy.
    ///
    /// # Errors
    /// [`NetRestoreError`] when `state` does not fit the device or the memory.
    pub fn restore(
        memory: M,
        link: Option<Link>,
        mac: Mac,
        signals: Arc<Signals>,
        state: &NetState,
    ) -> Result<Self, NetRestoreError> {
        let queues = Queues::restore(&state.queues, QUEUES, QUEUE_SIZE, &memory)?;
        let (untaken, size) = (state.untaken, queues.size(TRANSMIT).unwrap_or(0));
        if untaken > size {
            return Err(NetRestoreError::Untaken { untaken, size });
        }
        let changed = state.changed || mac != state.mac || link.is_some() != state.up;
        let new = Self::new(memory, link, mac, signals);
        Ok(Self { queues, foreign: untaken, changed, ..new })
    }
}
