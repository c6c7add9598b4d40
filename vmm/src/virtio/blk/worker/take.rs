//! From queues to jobs, and from jobs back to queues.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use virtio_queue::{QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemory};

use super::{BlkWorker, Job};
use crate::io::Engine;
use crate::virtio::blk::decode::Decoded;
use crate::virtio::blk::ports::{DiskPort, Pinner};
use crate::virtio::blk::request::{Request, Status};

/// How long the driver is waited for after an answer: a fraction of an exit on a host with nested
/// virtualization, and a few times one on others.
const LINGER: Duration = Duration::from_micros(10);

/// What became of doorbells when a queue was found empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doorbell {
    /// They stay as they are: somebody looks again soon.
    AsItIs,
    /// The driver is asked to ring.
    Wanted,
}

/// What a look at a queue found.
enum Found {
    Nothing,
    Request(Decoded),
    /// Something that no driver may do.
    Nonsense,
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
        let mut any = false;
        for queue in 0..self.queues.len() {
            any |= self.take(queue, doorbell);
        }
        any && self.signals.is_live()
    }

    fn take(&mut self, index: usize, doorbell: Doorbell) -> bool {
        let Some(Some(size)) = self.queues.get(index).map(|queue| queue.as_ref().map(QueueT::size))
        else {
            return false;
        };
        for taken in 0..size {
            if !self.signals.is_live() {
                return false;
            }
            match self.look(index, doorbell) {
                Found::Nothing => return taken > 0,
                Found::Nonsense => {
                    self.broken();
                    return false;
                }
                Found::Request(decoded) => self.accept(index as u16, decoded),
            }
        }
        true
    }

    /// Waits a moment for the driver's answer to what was just put into the used rings. A driver that
    /// keeps the disk busy has its next requests ready long before a doorbell (an exit of the guest) and
    /// the wake-up of this thread would tell of them.
    pub(super) fn linger(&mut self) {
        let until = Instant::now() + LINGER;
        while !self.is_offered_more() && Instant::now() < until {
            std::hint::spin_loop();
        }
    }

    /// Tells the driver that doorbells are not needed now. Whoever does it looks at the queues again,
    /// and at last with [`Doorbell::Wanted`].
    pub(super) fn decline_doorbells(&mut self) {
        if !std::mem::take(&mut self.listening) {
            return;
        }
        let memory = &self.ports.memory;
        for queue in self.queues.iter_mut().flatten() {
            // Where the ring cannot be written, the driver rings needlessly.
            if queue.event_idx_enabled() {
                // The event of section 2.7.10.1, which lies behind the used ring: one that has passed.
                let passed = queue.next_avail().wrapping_sub(1).to_le();
                let place = queue.used_ring() + 4 + 8 * u64::from(queue.size());
                let _ = memory.write_obj(passed, GuestAddress(place));
            } else {
                let _ = queue.disable_notification(memory);
            }
        }
    }

    fn is_offered_more(&self) -> bool {
        let memory = &self.ports.memory;
        self.queues.iter().flatten().any(|queue| {
            let offered = queue.avail_idx(memory, Ordering::Acquire);
            offered.is_ok_and(|offered| offered.0 != queue.next_avail())
        })
    }

    /// Takes the next chain of a queue. Where doorbells are wanted, they are asked for before it says
    /// that there is none.
    fn look(&mut self, index: usize, doorbell: Doorbell) -> Found {
        let Some(Some(queue)) = self.queues.get_mut(index) else { return Found::Nothing };
        let memory = &self.ports.memory;
        let mut next = match queue.iter(memory) {
            Ok(mut chains) => chains.next(),
            Err(_) => return Found::Nonsense,
        };
        if next.is_none() && doorbell == Doorbell::Wanted {
            self.listening = true;
            match queue.enable_notification(memory) {
                Ok(true) => match queue.iter(memory) {
                    Ok(mut chains) => next = chains.next(),
                    Err(_) => return Found::Nonsense,
                },
                Ok(false) => {}
                Err(_) => return Found::Nonsense,
            }
        }
        let Some(chain) = next else { return Found::Nothing };
        let head = chain.head_index();
        // A head that is in flight: the driver reuses descriptors that are not its own.
        if head >= queue.size() || self.heads.contains_key(&(index as u16, head)) {
            return Found::Nonsense;
        }
        match Request::decode(chain, &self.config) {
            Ok(decoded) => Found::Request(decoded),
            Err(_) => Found::Nonsense,
        }
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
        let Some(Some(ring)) = self.queues.get_mut(usize::from(queue)) else { return };
        let written = memory.write_obj(status as u8, GuestAddress(status_address)).is_ok()
            && ring.add_used(memory, head, used_len).is_ok();
        if !written {
            self.broken();
            return;
        }
        self.counts.answered += 1;
        self.counts.errors += u64::from(status != Status::Ok);
        if let Some(used) = self.used.get_mut(usize::from(queue)) {
            *used = true;
        }
    }

    /// Tells the driver about used buffers, where it wants to know.
    pub(super) fn tell_driver(&mut self) {
        let mut tell = std::mem::take(&mut self.tell);
        for (queue, used) in self.queues.iter_mut().zip(&mut self.used) {
            if let (Some(queue), true) = (queue, std::mem::take(used)) {
                tell |= queue.needs_notification(&self.ports.memory).unwrap_or(true);
            }
        }
        if tell {
            self.signals.buffers_used();
        }
    }

    fn broken(&mut self) {
        self.counts.malformed += 1;
        self.signals.broken();
    }
}
