//! The requests in flight, as plain data.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use vm_memory::{GuestAddress, GuestMemory, Permissions};

use super::config::BlkConfig;
use super::request::{Kind, Request};

#[cfg(test)]
mod tests;

/// A request that was taken from a queue and not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The queue that it came from.
    pub queue: u16,
    /// Requests were taken in this order; numbers are not reused before a reset.
    pub order: u64,
    /// The request.
    pub request: Request,
}

/// All requests in flight of one disk, in the order in which they were taken.
///
/// In flight is what a driver has made available and has no answer to, and the device has
/// seen. A transfer that has ended but whose completion was not read is still in flight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// One each.
    pub entries: Vec<Entry>,
}

/// A saved ledger that no device can have had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "saved request {order} with head {head} of queue {queue}: {problem}: the state was damaged or \
     belongs to another guest or disk"
)]
pub struct LedgerError {
    /// The request's number.
    pub order: u64,
    /// Its queue.
    pub queue: u16,
    /// The index of its first descriptor.
    pub head: u16,
    /// What is wrong.
    pub problem: &'static str,
}

impl Ledger {
    /// Checks everything that decoding checks, as a saved ledger comes from anywhere: queues of
    /// `sizes` entries (`None` where the driver does not use one), a disk with `config`, and
    /// `memory`.
    ///
    /// # Errors
    /// [`LedgerError`] names the first entry that cannot be.
    pub fn check<M: GuestMemory>(
        &self,
        sizes: &[Option<u16>],
        config: &BlkConfig,
        memory: &M,
    ) -> Result<(), LedgerError> {
        let mut heads = BTreeSet::new();
        let mut last = None;
        for Entry { queue, order, request } in &self.entries {
            let (queue, order, head) = (*queue, *order, request.head);
            let wrong = |problem| Err(LedgerError { order, queue, head, problem });
            let Some(Some(size)) = sizes.get(usize::from(queue)) else {
                return wrong("the driver does not use that queue");
            };
            if head >= *size {
                return wrong("the queue has no such descriptor");
            }
            if !heads.insert((queue, head)) {
                return wrong("two requests have the same head");
            }
            if last.is_some_and(|last| last >= order) || order == u64::MAX {
                return wrong("requests are not in order");
            }
            last = Some(order);
            if let Err(problem) = check_request(request, config, memory) {
                return wrong(problem);
            }
        }
        Ok(())
    }
}

fn check_request<M: GuestMemory>(
    request: &Request,
    config: &BlkConfig,
    memory: &M,
) -> Result<(), &'static str> {
    let access = match request.kind.fills_memory() {
        true => Permissions::Write,
        false => Permissions::Read,
    };
    let inside = request.segments.iter().all(|segment| {
        let address = GuestAddress(segment.address);
        segment.len > 0 && memory.check_range(address, segment.len as usize, access)
    });
    let status = GuestAddress(request.status_address);
    if !inside || !memory.check_range(status, 1, Permissions::Write) {
        return Err("its buffers are not in guest memory");
    }
    let len = request.segments.iter().try_fold(0_u32, |sum, it| sum.checked_add(it.len));
    let (moves, zeroes) = (
        matches!(request.kind, Kind::In | Kind::Out | Kind::GetId),
        matches!(request.kind, Kind::Discard | Kind::WriteZeroes),
    );
    let plain = (moves || request.segments.is_empty()) && (zeroes || request.ranges.is_empty());
    if len != Some(request.data_len) || !plain {
        return Err("its parts do not fit together");
    }
    config.permits(request).map_err(|_| "the disk does not carry it out")
}
