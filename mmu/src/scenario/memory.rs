//! Scripts on real memory: the same core over memfds, windows and userfaultfd.
//!
//! A CPU's access is one of this process, through the window: it faults like a guest's. A device's
//! access goes to the layer's own mapping, past the window. A stamp fills its whole
//! sector of 512 bytes, so that a torn one is seen.

#![expect(unsafe_code, reason = "CPUs and devices of a script reach memory by raw addresses")]

use std::sync::Arc;

use super::{Lab, Page, Reach, Stamp, access};
use crate::error::SpaceError;
use crate::family::Family;
use crate::gfn::Gfn;
use crate::host::{HostMemory, MemoryError, MemoryOptions};
use crate::layer::Layer;
use crate::live;
use crate::rules::Rules;
use crate::space::AddressSpace;

#[cfg(test)]
mod tests;

/// The place where scripts meet a real kernel.
pub type RealMemory = Lab<HostMemory>;

/// Guests of eight pages: the script's page has neighbours with which its mappings may merge.
const PAGES: u32 = 8;
const PAGE: Gfn = Gfn(3);

/// Bytes of a sector where scripts have real memory.
pub const SECTOR_BYTES: usize = 512;
const WORDS: usize = SECTOR_BYTES / size_of::<u64>();
/// Where sector `a` begins in the page: in its first half.
pub const SECTOR_A: usize = 1024;
/// Where sector `b` begins in the page: in its second half.
pub const SECTOR_B: usize = 3072;

impl RealMemory {
    /// A fresh family under `rules`.
    ///
    /// # Errors
    /// When this host cannot run the `trap` backing.
    pub fn of(rules: Rules) -> Result<Self, MemoryError> {
        Self::with(rules, MemoryOptions::default())
    }

    /// [`of`](Self::of), with a choice of options.
    ///
    /// # Errors
    /// When this host cannot run the `trap` backing.
    pub fn with(rules: Rules, options: MemoryOptions) -> Result<Self, MemoryError> {
        let trap = Arc::new(HostMemory::new(PAGES, options)?);
        Ok(Lab::new(Family::new(trap, rules, PAGES), PAGE))
    }
}

/// Where a page is.
#[derive(Clone, Copy)]
struct Address(*mut u8);

impl Address {
    /// Fills a sector.
    ///
    /// # Safety
    /// The page at this address stays mapped during the call.
    unsafe fn fill(self, sector: usize, stamp: Stamp) {
        let first = self.0.wrapping_add(sector).cast::<u64>();
        for word in 0..WORDS {
            // SAFETY: aligned, inside of the page, which the caller keeps mapped; volatile, since
            // other threads and devices use the page at the same time.
            unsafe { first.add(word).write_volatile(stamp.0) };
        }
    }

    /// What a sector holds.
    ///
    /// # Safety
    /// The page at this address stays mapped during the call.
    unsafe fn stamp(self, sector: usize) -> Stamp {
        let first = self.0.wrapping_add(sector).cast::<u64>();
        // SAFETY: as for `fill`.
        let word = |word: usize| unsafe { first.add(word).read_volatile() };
        let stamp = word(0);
        if (1..WORDS).all(|at| word(at) == stamp) { Stamp(stamp) } else { Stamp::TORN }
    }

    /// What both sectors hold.
    ///
    /// # Safety
    /// The page at this address stays mapped during the call.
    unsafe fn page(self) -> Page {
        // SAFETY: the caller's promise.
        unsafe { Page { a: self.stamp(SECTOR_A), b: self.stamp(SECTOR_B) } }
    }
}

fn device_address(layer: &Layer<HostMemory>, gfn: Gfn) -> Address {
    Address(layer.store().address(gfn))
}

impl Reach for HostMemory {
    fn cpu_write(
        &self,
        space: &Arc<AddressSpace<Self>>,
        gfn: Gfn,
        stamp: Stamp,
    ) -> Result<(), SpaceError> {
        access::before_write(space, gfn)?;
        // SAFETY: the space keeps its window mapped.
        unsafe { Address(space.window().address(gfn)).fill(SECTOR_B, stamp) };
        access::settle(space, gfn)
    }

    fn cpu_read(&self, space: &Arc<AddressSpace<Self>>, gfn: Gfn) -> Result<Page, SpaceError> {
        access::before_read(space, gfn)?;
        // SAFETY: the space keeps its window mapped.
        let seen = unsafe { Address(space.window().address(gfn)).page() };
        access::settle(space, gfn)?;
        Ok(seen)
    }

    fn device_write(&self, layer: &Layer<Self>, gfn: Gfn, stamp: Stamp) {
        // SAFETY: the pin that the caller holds keeps the layer, and so its mapping.
        unsafe { device_address(layer, gfn).fill(SECTOR_A, stamp) };
    }

    fn device_read(&self, layer: &Layer<Self>, gfn: Gfn) -> Page {
        // SAFETY: as for `device_write`.
        unsafe { device_address(layer, gfn).page() }
    }

    fn introduce(&self, space: &Arc<AddressSpace<Self>>) {
        live::attach(space);
    }
}
