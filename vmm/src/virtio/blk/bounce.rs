//! Memory of the monitor in place of a guest's, for transfers that are not aligned.

#![expect(unsafe_code, reason = "the kernel is given the address of memory that is allocated here")]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::io;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use crate::io::{Buffers, Region};

#[cfg(test)]
mod tests;

/// As much as any disk wants.
const ALIGNMENT: usize = 4096;

struct Block {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a block is plain memory with one owner; access to its bytes goes through `Bounce`.
unsafe impl Send for Block {}
// SAFETY: as above. A shared block is only kept alive by its sharers.
unsafe impl Sync for Block {}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated in `Bounce::new` with this layout, and not freed before.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// An aligned block, zeros at first. Transfers that use it keep it alive.
///
/// Its bytes are copied in and out by address, and no reference to them is ever made.
pub(super) struct Bounce {
    block: Arc<Block>,
    len_bytes: usize,
}

impl Bounce {
    /// A block of `len_bytes`.
    ///
    /// # Errors
    /// When there is no memory.
    pub(super) fn new(len_bytes: usize) -> io::Result<Self> {
        let none = || io::Error::from(io::ErrorKind::OutOfMemory);
        let layout = Layout::from_size_align(len_bytes.max(1), ALIGNMENT).map_err(|_| none())?;
        // SAFETY: the layout has a length.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(none)?;
        Ok(Self { block: Arc::new(Block { start, layout }), len_bytes })
    }

    /// Its length in bytes.
    pub(super) fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// The block for a transfer.
    pub(super) fn buffers(&self) -> Buffers {
        let address = self.block.start.as_ptr();
        let region = Region { address, len_bytes: self.len_bytes };
        // SAFETY: the block lives as long as the reference that is given away, and no Rust reference
        // to its bytes is ever made.
        unsafe { Buffers::new(vec![region], self.block.clone()) }
    }

    /// Copies `bytes` to `offset`. What does not fit is left out.
    pub(super) fn put(&self, offset: usize, bytes: &[u8]) {
        let offset = offset.min(self.len_bytes);
        let len = bytes.len().min(self.len_bytes - offset);
        // SAFETY: both ranges are as long as that, and a slice of others does not overlap the block.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.at(offset), len) };
    }

    /// Copies from `offset` to `bytes`. What lies beyond the end is left as it is.
    pub(super) fn get(&self, offset: usize, bytes: &mut [u8]) {
        let offset = offset.min(self.len_bytes);
        let len = bytes.len().min(self.len_bytes - offset);
        // SAFETY: as in `put`.
        unsafe { ptr::copy_nonoverlapping(self.at(offset), bytes.as_mut_ptr(), len) };
    }

    fn at(&self, offset: usize) -> *mut u8 {
        self.block.start.as_ptr().wrapping_add(offset)
    }
}
