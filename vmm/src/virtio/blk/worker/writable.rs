//! What the worker can write to guest memory without waiting.
//!
//! Under rule set `wait` a write to a shared page waits until the page's pins are gone. These may be
//! the disk's own, or those of a copy of the disk that waits for this one in the same way: a worker
//! that waited would never read the completions that end them, and would keep the lock that forks
//! need. So it asks before it writes, and comes back later.

use vm_memory::GuestMemory;

use super::BlkWorker;
use crate::io::Engine;
use crate::virtio::blk::ports::{DiskPort, Pinner};
use crate::virtio::blk::request::Kind;

impl<M, P, D, E> BlkWorker<M, P, D, E>
where
    M: GuestMemory,
    P: Pinner,
    D: DiskPort,
    E: Engine,
{
    /// Whether all used rings can be written, for answers and for what is said about doorbells.
    pub(super) fn may_use_rings(&mut self) -> bool {
        let Self { ref queues, ref mut ports, .. } = *self;
        (0..queues.len())
            .filter_map(|index| queues.used_ring(index))
            .all(|(address, len_bytes)| ports.pinner.may_write(address, len_bytes))
    }

    /// Whether the status of a request can be written.
    pub(super) fn may_write_status(&mut self, address: u64) -> bool {
        self.ports.pinner.may_write(address, 1)
    }

    /// Whether everything can be written that answering a job takes: what was read for it, if the
    /// worker is the one to copy it, its status, and the used ring. After a reset that is nothing.
    pub(super) fn may_answer(&mut self, order: u64) -> bool {
        let Self { ref queues, ref jobs, ref mut ports, resetting, .. } = *self;
        let Some(job) = jobs.get(&order) else { return true };
        if resetting {
            return true;
        }
        let request = &job.request;
        let is_bounced = job.running.as_ref().is_some_and(|running| running.bounce.is_some());
        let segments = match request.kind {
            Kind::GetId => request.segments.as_slice(),
            Kind::In if is_bounced => request.segments.as_slice(),
            _ => &[],
        };
        let data = segments.iter().map(|segment| (segment.address, u64::from(segment.len)));
        data.chain([(request.status_address, 1)])
            .chain(queues.used_ring(job.queue.into()))
            .all(|(address, len_bytes)| ports.pinner.may_write(address, len_bytes))
    }
}
