//! The initrd: in the highest RAM that the kernel can take it from.

use pincow_mmu::host::WindowMemory;
use vm_memory::{Bytes, GuestAddress};

use super::LinuxError;

#[cfg(test)]
mod tests;

/// Where kernels take an initrd from that do not say more (boot.rst, `initrd_addr_max`), as an end
/// address.
pub(super) const USUAL_END: u64 = 0x8000_0000;

const PAGE: u64 = 4096;

/// An initrd in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) start: u64,
    pub(super) len_bytes: u64,
}

/// Writes `initrd` so that it ends at or below `room_end` and begins at or above `kernel_end`.
pub(super) fn write(
    memory: &WindowMemory,
    initrd: &[u8],
    kernel_end: u64,
    room_end: u64,
) -> Result<Placed, LinuxError> {
    if initrd.is_empty() {
        return Err(LinuxError::EmptyInitrd);
    }
    let len_bytes = initrd.len() as u64;
    let start = room_end.checked_sub(len_bytes).map(|start| start / PAGE * PAGE);
    let start = start.filter(|&start| start >= kernel_end);
    let start = start.ok_or(LinuxError::InitrdTooLarge { len_bytes, kernel_end, room_end })?;
    memory.write_slice(initrd, GuestAddress(start)).map_err(|source| LinuxError::Write {
        what: "initrd",
        address: start,
        source,
    })?;
    Ok(Placed { start, len_bytes })
}
