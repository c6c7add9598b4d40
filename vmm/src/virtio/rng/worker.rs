//! The worker: from requests to random bytes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vm_memory::{GuestMemory, Permissions};

use super::entropy::Entropy;
use crate::virtio::chain::{Layout, are_inside, len_bytes, scatter};
use crate::virtio::device::Activation;
use crate::virtio::queue::{QueueError, SavedQueue};
use crate::virtio::queues::{Nonsense, Queues};
use crate::virtio::reactor::Next;
use crate::virtio::signals::Signals;

/// The one queue.
const REQUESTS: usize = 0;

/// Entries of the queue.
pub const QUEUE_SIZE: u16 = 64;

/// Bytes that one request is given at most. A device may use less than a buffer has room for
/// (section 5.4.6.2), and no driver asks for that much.
pub const MOST_BYTES: usize = 4096;

/// A worker's queue. Untrusted: see [`RngWorker::restore`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RngState {
    /// The queue; empty before the driver is ready.
    pub queues: Vec<Option<SavedQueue>>,
}

/// Counts since the worker was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RngCounts {
    /// Requests that were answered.
    pub requests: u64,
    /// Bytes that were given.
    pub bytes: u64,
    /// Chains that could not be answered, and other reasons for DEVICE_NEEDS_RESET.
    pub malformed: u64,
}

/// The worker of one device: `M` is guest memory, `S` gives random bytes.
pub struct RngWorker<M, S> {
    memory: M,
    source: S,
    signals: Arc<Signals>,
    queues: Queues,
    counts: RngCounts,
}

impl<M: GuestMemory, S: Entropy> RngWorker<M, S> {
    /// The worker of a device whose driver is not ready yet.
    #[must_use]
    pub fn new(memory: M, source: S, signals: Arc<Signals>) -> Self {
        Self { memory, source, signals, queues: Queues::default(), counts: RngCounts::default() }
    }

    /// The worker that `state` describes. It touches guest memory at its first [step](Self::step),
    /// when it also interrupts: interrupts do not survive a copy.
    ///
    /// # Errors
    /// [`QueueError`] when `state` does not fit the device or the memory.
    pub fn restore(
        memory: M,
        source: S,
        signals: Arc<Signals>,
        state: &RngState,
    ) -> Result<Self, QueueError> {
        let queues = Queues::restore(&state.queues, 1, QUEUE_SIZE, &memory)?;
        Ok(Self { queues, ..Self::new(memory, source, signals) })
    }

    /// What a copy of the guest needs to go on.
    #[must_use]
    pub fn save(&self) -> RngState {
        RngState { queues: self.queues.save() }
    }

    /// Takes the queue of a driver that is ready.
    pub fn activate(&mut self, activation: Activation) {
        self.queues = Queues::new(activation.queues);
    }

    /// Forgets the queue. Nothing is ever in flight.
    pub fn reset(&mut self) {
        self.queues = Queues::default();
    }

    /// Serves as many requests as the queue has entries, and tells the driver.
    pub fn step(&mut self) -> Next {
        let mut next = Next::Now;
        for _ in 0..self.queues.size(REQUESTS).unwrap_or(1) {
            if !self.signals.is_live() {
                next = Next::Idle;
                break;
            }
            match self.serve() {
                Ok(true) => {}
                Ok(false) => {
                    next = Next::Idle;
                    break;
                }
                Err(Nonsense) => {
                    self.counts.malformed += 1;
                    self.signals.broken();
                }
            }
        }
        self.queues.tell_driver(&self.memory, &self.signals);
        next
    }

    /// What was done so far.
    #[must_use]
    pub fn counts(&self) -> RngCounts {
        self.counts
    }

    pub(super) fn memory(&self) -> &M {
        &self.memory
    }

    /// Serves the next request, if there is one. There is nothing to tell a driver that its request
    /// is wrong: it gave a buffer that the device reads, none that it writes (section 5.4.6.1), or
    /// one that is not in memory.
    fn serve(&mut self) -> Result<bool, Nonsense> {
        let Some(chain) = self.queues.take(REQUESTS, &self.memory)? else { return Ok(false) };
        let head = chain.head_index();
        let Layout { readable, writable, .. } = Layout::of(chain).map_err(|_| Nonsense)?;
        let wanted = len_bytes(&writable).min(MOST_BYTES);
        let inside = are_inside(&writable, &self.memory, Permissions::Write);
        if !readable.is_empty() || wanted == 0 || !inside {
            return Err(Nonsense);
        }
        let mut bytes = [0; MOST_BYTES];
        let bytes = bytes.get_mut(..wanted).ok_or(Nonsense)?;
        // Where the host has none to give, the driver must not take what is there for random.
        self.source.fill(bytes).map_err(|_| Nonsense)?;
        scatter(&writable, &self.memory, bytes).ok_or(Nonsense)?;
        self.queues.answer(REQUESTS, &self.memory, head, wanted as u32)?;
        self.counts.requests += 1;
        self.counts.bytes += wanted as u64;
        Ok(true)
    }
}
