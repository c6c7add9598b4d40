//! Descriptor chains as plain data.

use std::ops::Deref;

use serde::{Deserialize, Serialize};
use virtio_queue::DescriptorChain;
use vm_memory::{Bytes, GuestAddress, GuestMemory, Permissions};

#[cfg(test)]
mod tests;

/// Chains longer than this are refused. A disk's driver that keeps to `seg_max` needs 256, and one
/// of a network card no more than the pages of 64 KiB.
const MOST_DESCRIPTORS: usize = 1024;

/// A range of guest memory, not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Guest-physical address.
    pub address: u64,
    /// Length in bytes.
    pub len: u32,
}

/// A chain that does not end, is cut off, or has more descriptors than a chain may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endless;

/// A chain's bytes by direction. Descriptors without bytes are passed over. All of them add up to
/// less than 4 GiB; whether they lie in guest memory is not said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// What the device reads.
    pub(crate) readable: Vec<Segment>,
    /// What the device writes.
    pub(crate) writable: Vec<Segment>,
    /// A descriptor that the device reads came after one that it writes.
    pub(crate) mixed: bool,
}

impl Layout {
    /// Reads each descriptor of `chain` once.
    pub(crate) fn of<M>(mut chain: DescriptorChain<M>) -> Result<Self, Endless>
    where
        M: Deref,
        M::Target: GuestMemory + Sized,
    {
        let mut layout = Self::default();
        let mut ended = false;
        // The iterator ends at errors too, after a descriptor that has a next one.
        for (count, descriptor) in chain.by_ref().enumerate() {
            if count == MOST_DESCRIPTORS {
                return Err(Endless);
            }
            ended = !descriptor.has_next();
            let segment = Segment { address: descriptor.addr().0, len: descriptor.len() };
            match (descriptor.is_write_only(), segment.len) {
                (_, 0) => {}
                (true, _) => layout.writable.push(segment),
                (false, _) => {
                    layout.mixed |= !layout.writable.is_empty();
                    layout.readable.push(segment);
                }
            }
        }
        ended.then_some(layout).ok_or(Endless)
    }
}

/// The sum of the lengths, in bytes.
pub(crate) fn len_bytes(segments: &[Segment]) -> usize {
    segments.iter().map(|segment| segment.len as usize).sum()
}

/// Whether all of them lie in `memory`.
pub(crate) fn are_inside<M: GuestMemory>(
    segments: &[Segment],
    memory: &M,
    access: Permissions,
) -> bool {
    segments.iter().all(|segment| {
        memory.check_range(GuestAddress(segment.address), segment.len as usize, access)
    })
}

/// Reads the first bytes of `segments`, as many as `bytes` has room for or as there are. How many;
/// `None` where they are not in `memory`.
pub(crate) fn gather<M: GuestMemory>(
    segments: &[Segment],
    memory: &M,
    bytes: &mut [u8],
) -> Option<usize> {
    let mut done = 0;
    for segment in segments {
        let len = (segment.len as usize).min(bytes.len() - done);
        let part = bytes.get_mut(done..done + len)?;
        memory.read_slice(part, GuestAddress(segment.address)).ok()?;
        done += len;
    }
    Some(done)
}

/// Writes `bytes` to the beginning of `segments`, as many as there is room for. How many; `None`
/// where it is not in `memory`.
pub(crate) fn scatter<M: GuestMemory>(
    segments: &[Segment],
    memory: &M,
    bytes: &[u8],
) -> Option<usize> {
    let mut done = 0;
    for segment in segments {
        let len = (segment.len as usize).min(bytes.len() - done);
        let part = bytes.get(done..done + len)?;
        memory.write_slice(part, GuestAddress(segment.address)).ok()?;
        done += len;
    }
    Some(done)
}
