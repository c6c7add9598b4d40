//! Where a transfer's bytes are, and what keeps them there.

#![expect(unsafe_code, reason = "addresses are promised to stay valid, and sent between threads")]

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// A contiguous range of this process's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The first byte.
    pub address: *mut u8,
    /// The length in bytes.
    pub len_bytes: usize,
}

// SAFETY: a region is an address and a length. It is dereferenced by the kernel only, under the
// promise that was made to `Buffers::new`.
unsafe impl Send for Region {}

/// Memory that a device or the kernel may use, as a list of regions in order.
///
/// Clones and [slices](Buffers::slice) share what keeps the memory in place.
#[derive(Clone)]
pub struct Buffers {
    regions: Vec<Region>,
    held: Arc<dyn Any + Send + Sync>,
}

impl Buffers {
    /// Buffers at `regions`, which are there for as long as `held` is.
    ///
    /// # Safety
    /// Until `held` is dropped, each region must stay readable and writable, and no Rust reference
    /// to its bytes may exist: the kernel reads and writes them at any moment.
    #[must_use]
    pub unsafe fn new(regions: Vec<Region>, held: Arc<dyn Any + Send + Sync>) -> Self {
        Self { regions, held }
    }

    /// No bytes at all, for operations on a file alone.
    #[must_use]
    pub fn empty() -> Self {
        Self { regions: Vec::new(), held: Arc::new(()) }
    }

    /// The regions in order.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The sum of the lengths, in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.regions.iter().map(|region| region.len_bytes).sum()
    }

    /// Whether every region begins at a multiple of `alignment` bytes and is as long as one.
    #[must_use]
    pub fn is_aligned(&self, alignment: usize) -> bool {
        self.regions.iter().all(|region| {
            (region.address as usize).is_multiple_of(alignment)
                && region.len_bytes.is_multiple_of(alignment)
        })
    }

    /// The bytes `range` of these, counted over all regions. What lies beyond the end is left out.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let mut regions = Vec::new();
        let mut passed = 0;
        for region in &self.regions {
            let start = range.start.clamp(passed, passed + region.len_bytes) - passed;
            let end = range.end.clamp(passed, passed + region.len_bytes) - passed;
            if start < end {
                let address = region.address.wrapping_add(start);
                regions.push(Region { address, len_bytes: end - start });
            }
            passed += region.len_bytes;
        }
        Self { regions, held: Arc::clone(&self.held) }
    }

    /// The same bytes in parts of `most` regions at most.
    pub fn chunks(&self, most: usize) -> impl Iterator<Item = Self> + '_ {
        self.regions
            .chunks(most)
            .map(|regions| Self { regions: regions.to_vec(), held: Arc::clone(&self.held) })
    }

    /// Whatever keeps the memory in place, for a caller that wants it as what it is.
    #[must_use]
    pub fn held(&self) -> &Arc<dyn Any + Send + Sync> {
        &self.held
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers").field("regions", &self.regions).finish_non_exhaustive()
    }
}
