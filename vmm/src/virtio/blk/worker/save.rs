//! A worker as plain data, and before that: waiting for its transfers.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use vm_memory::GuestMemory;

use super::{BlkWorker, Job, Ports};
use crate::io::{Engine, wait_readable};
use crate::virtio::blk::config::{BlkConfig, BlkOptions};
use crate::virtio::blk::ledger::{Entry, Ledger};
use crate::virtio::blk::policy::{Policy, RestoreError};
use crate::virtio::blk::ports::{DiskPort, Pinner};
use crate::virtio::queue::SavedQueue;
use crate::virtio::queues::Queues;
use crate::virtio::signals::Signals;

/// A worker's queues and requests. Untrusted: see [`BlkWorker::restore`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlkState {
    /// One each; `None` for one that the driver does not use. Empty before it is ready.
    pub queues: Vec<Option<SavedQueue>>,
    /// The requests in flight.
    pub ledger: Ledger,
}

/// Requests did not end in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{left} disk requests did not end in time: give them longer, or do not drain")]
pub struct DrainError {
    /// How many.
    pub left: usize,
}

impl<M, P, D, E> BlkWorker<M, P, D, E>
where
    M: GuestMemory,
    P: Pinner,
    D: DiskPort,
    E: Engine,
{
    /// What a copy of the guest needs to go on. Its own transfers go on too, and are this worker's
    /// alone. A reset that is under way is done in the copy.
    #[must_use]
    pub fn save(&self) -> BlkState {
        if self.resetting {
            return BlkState::default();
        }
        let queues = self.queues.save();
        let entries = self.jobs.iter().map(|(&order, job)| Entry {
            queue: job.queue,
            order,
            request: job.request.clone(),
        });
        BlkState { queues, ledger: Ledger { entries: entries.collect() } }
    }

    /// The worker that `state` describes. It touches guest memory at its first [step](Self::step), when it
    /// also looks at every queue and interrupts: doorbells and interrupts do not survive a copy.
    ///
    /// # Errors
    /// [`RestoreError`] when `state` does not fit the disk or the memory.
    pub fn restore(
        ports: Ports<M, P, D, E>,
        config: BlkConfig,
        signals: Arc<Signals>,
        state: &BlkState,
        policy: Policy,
    ) -> Result<Self, RestoreError> {
        let BlkOptions { queues: count, queue_size, .. } = *config.options();
        let queues = Queues::restore(&state.queues, count.into(), queue_size, &ports.memory)?;
        let sizes: Vec<_> = (0..queues.len()).map(|index| queues.size(index)).collect();
        state.ledger.check(&sizes, &config, &ports.memory)?;
        let entries = &state.ledger.entries;
        if policy == Policy::Drain && !entries.is_empty() {
            return Err(RestoreError::NotDrained(entries.len()));
        }
        let mut worker = Self::new(ports, config, signals);
        worker.queues = queues;
        let doomed = policy == Policy::Error;
        for Entry { queue, order, request } in entries {
            let (queue, order, request) = (*queue, *order, request.clone());
            worker.heads.insert((queue, request.head), order);
            let (inherited, running) = (true, None);
            worker.jobs.insert(order, Job { queue, request, inherited, doomed, running });
            worker.waiting.push_back(order);
            worker.next_order = order + 1;
            worker.counts.reissued += u64::from(!doomed);
        }
        Ok(worker)
    }

    /// Waits until no request is in flight, and takes no new ones meanwhile.
    ///
    /// # Errors
    /// [`DrainError`] at the deadline. Nothing else has happened then: those that ended have ended.
    pub fn drain(&mut self, deadline: Instant) -> Result<(), DrainError> {
        loop {
            // Doorbells stay as they are: the thread that looks again may sleep.
            self.read_completions(|_| {});
            self.begin_waiting();
            self.end_reset();
            let stuck = self.send() || self.is_waiting();
            self.queues.tell_driver(&self.ports.memory, &self.signals);
            if self.jobs.is_empty() {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(DrainError { left: self.jobs.len() });
            }
            let longest = match stuck {
                true => left.min(std::time::Duration::from_millis(1)),
                false => left,
            };
            wait_readable(&[self.event_fd()], Some(longest));
        }
    }

    /// Becomes readable when a completion wants to be read.
    #[must_use]
    pub fn event_fd(&self) -> RawFd {
        self.ports.engine.event_fd()
    }
}
