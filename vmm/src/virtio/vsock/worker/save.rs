//! A worker as plain data.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use vm_memory::GuestMemory;

use super::event::Notice;
use super::{EVENT, QUEUE_SIZE, QUEUES, TRANSMIT, VsockWorker};
use crate::virtio::queue::{QueueError, SavedQueue};
use crate::virtio::queues::Queues;
use crate::virtio::signals::Signals;
use crate::virtio::vsock::cid::Cid;
use crate::virtio::vsock::socket::HostSocket;

/// A worker's queues and identity, without its connections. Untrusted: see [`VsockWorker::restore`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VsockState {
    /// Receive, transmit and event queue; `None` for one that the driver does not use. Empty before it
    /// is ready.
    pub queues: Vec<Option<SavedQueue>>,
    /// How many packets the driver had made available that were not taken. The original takes them.
    pub untaken: u16,
    /// The guest's address.
    pub cid: Cid,
    /// Whether the driver is still to be told of a change of it.
    pub changed: bool,
}

/// A saved device that was not made live.
#[derive(Debug, Error)]
pub enum VsockRestoreError {
    /// A queue is wrong.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// More packets than there can be.
    #[error(
        "saved vsock device: {untaken} packets wait in a transmit queue with {size} entries: it was \
         damaged"
    )]
    Untaken {
        /// What the state has.
        untaken: u16,
        /// Entries of the queue; 0 where there is none.
        size: u16,
    },
    /// There is nothing to watch sockets with.
    #[error(
        "watching the sockets of a vsock device: {0}: the process may have too many files open \
         (ulimit -n)"
    )]
    Watch(#[from] io::Error),
}

impl<M: GuestMemory> VsockWorker<M> {
    /// What a copy of the guest needs to go on. No vCPU may run, so that the packets that are
    /// available are those of this moment.
    #[must_use]
    pub fn save(&self) -> VsockState {
        // Where the ring is nonsense, the copy's step will find it so, too.
        let untaken = self.queues.untaken(TRANSMIT, &self.memory).unwrap_or(0);
        VsockState { queues: self.queues.save(), untaken, cid: self.cid, changed: self.changed }
    }

    /// The worker that `state` describes, with a socket of its own, or none, and the address `cid`.
    /// It has no connections, of which it tells the driver. It touches guest memory at its first
    /// [step](Self::step), when it also interrupts: doorbells and interrupts do not survive a copy.
    ///
    /// # Errors
    /// [`VsockRestoreError`] when `state` does not fit the device or the memory.
    pub fn restore(
        memory: M,
        cid: Cid,
        socket: Option<HostSocket>,
        signals: Arc<Signals>,
        state: &VsockState,
    ) -> Result<Self, VsockRestoreError> {
        let queues = Queues::restore(&state.queues, QUEUES, QUEUE_SIZE, &memory)?;
        let (untaken, size) = (state.untaken, queues.size(TRANSMIT).unwrap_or(0));
        if untaken > size {
            return Err(VsockRestoreError::Untaken { untaken, size });
        }
        let notice = if queues.size(EVENT).is_some() { Notice::Owed } else { Notice::None };
        let changed = state.changed || cid != state.cid;
        let new = Self::new(memory, cid, socket, signals)?;
        Ok(Self { queues, foreign: untaken, notice, changed, ..new })
    }
}
