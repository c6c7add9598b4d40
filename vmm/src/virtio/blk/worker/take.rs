//! From queues to jobs, and from jobs back to queues.

use std::time::{Duration, Instant};

use vm_memory::{Bytes, GuestAddress, GuestMemory};

use super::{BlkWorker, Job};
use crate::io::Engine;
use crate::virtio::blk::decode::Decoded;
use crate::virtio::blk::ports::{DiskPort, Pinner};
use crate::virtio::blk::request::{Request, Status};
use crate::virtio::queues::Nonsense;

/// How long the driver is waited for after an answer: a fraction of an exit on a host with nested
/// virtualization, and a few times one on others.
const LINGER: Duration = Duration::from_micros(10);

/// What becomes of doorbells when a queue is found empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doorbell {
    /// They stay as they are: somebody looks again soon.
    AsItIs,
    /// The driver is asked to ring.
    Wanted,
}

impl<M, P, D, E> BlkWorker<M, P, D, E>
where
    M: GuestMemory,
    P: Pinner,
    D: DiskPort,
    E: Engine,
{
    /// Takes what the driver made available, as many requests from each queue as it has entries at
    /// most: a driver that never stops cannot keep the worker from its completions. Whether there
    /// were any, and there may be more.
    pub(super) fn take_all(&mut self, doorbell: Doorbell) -> bool {
        if self.blocked {
            return false;
        }
        let mut any = false;
        for queue in 0..self.queues.len() {
            any |= self.take(queue, doorbell);
        }
        any && self.signals.is_live()
    }

    fn take(&mut self, index: usize, doorbell: Doorbell) -> bool {
        let Some(size) = self.queues.size(index) else { return false };
        for taken in 0..size {
            if !self.signals.is_live() {
                return false;
            }
            match self.look(index, doorbell) {
                Ok(None) => return taken > 0,
                Err(Nonsense) => {
                    self.broken();
                    return false;
                }
                Ok(Some(Decoded::Answer { status_address, .. }))
                    if !self.may_write_status(status_address) =>
                {
                    self.queues.put_back(index);
                    self.blocked = true;
                    return taken > 0;
                }
                Ok(Some(decoded)) => self.accept(index as u16, decoded),
            }
        }
        true
    }

    /// Waits a moment for the driver's answer to what was just put into the used rings. A driver that
    /// keeps the disk busy has its next requests ready long before a doorbell (an exit of the guest) and
    /// the wake-up of this thread would tell of them.
    pub(super) fn linger(&mut self) {
        let until = Instant::now() + LINGER;
        while !self.queues.is_offered_any(&self.ports.memory) && Instant::now() < until {
            std::hint::spin_loop();
        }
    }

    /// See [`Queues::decline_doorbells`](crate::virtio::queues::Queues::decline_doorbells).
    pub(super) fn decline_doorbells(&mut self) {
        if self.blocked {
            return;
        }
        self.queues.decline_doorbells(&self.ports.memory);
    }

    fn look(&mut self, index: usize, doorbell: Doorbell) -> Result<Option<Decoded>, Nonsense> {
        let memory = &self.ports.memory;
        let is_offered = match doorbell {
            Doorbell::AsItIs => self.queues.untaken(index, memory)? > 0,
            Doorbell::Wanted => self.queues.has_next(index, memory)?,
        };
        if !is_offered {
            return Ok(None);
        }
        let Some(chain) = self.queues.take(index, memory)? else { return Ok(None) };
        // A head that is in flight: the driver reuses descriptors that are not its own.
        if self.heads.contains_key(&(index as u16, chain.head_index())) {
            return Err(Nonsense);
        }
        Request::decode(chain, &self.config).map(Some).map_err(|_| Nonsense)
    }

    fn accept(&mut self, queue: u16, decoded: Decoded) {
        self.counts.requests += 1;
        match decoded {
            Decoded::Answer { head, status, status_address, used_len } => {
                self.answer(queue, head, status, status_address, used_len);
            }
            Decoded::Request(request) => {
                let order = self.next_order;
                self.next_order += 1;
                self.heads.insert((queue, request.head), order);
                let (inherited, doomed, running) = (false, false, None);
                self.jobs.insert(order, Job { queue, request, inherited, doomed, running });
                self.begin_or_wait(order);
            }
        }
    }

    /// Writes the status, then the used ring.
    pub(super) fn answer(
        &mut self,
        queue: u16,
        head: u16,
        status: Status,
        status_address: u64,
        used_len: u32,
    ) {
        let memory = &self.ports.memory;
        let written = memory.write_obj(status as u8, GuestAddress(status_address)).is_ok()
            && self.queues.answer(queue.into(), memory, head, used_len).is_ok();
        if !written {
            self.broken();
            return;
        }
        self.counts.answered += 1;
        self.counts.errors += u64::from(status != Status::Ok);
    }

    fn broken(&mut self) {
        self.counts.malformed += 1;
        self.signals.broken();
    }
}
