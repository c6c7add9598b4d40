//! The VMM's own view of a guest's memory, through vm-memory's traits.

#![expect(unsafe_code, reason = "a volatile slice is made of a raw address")]

use std::io;
use std::sync::Arc;

use vm_memory::bitmap::BS;
use vm_memory::guest_memory::Error;
use vm_memory::{
    GuestAddress, GuestMemoryRegion, GuestMemoryRegionBytes, GuestRegionCollection, GuestUsize,
    MemoryRegionAddress, VolatileSlice,
};

use super::mapping::Mapping;
use crate::gfn::{PAGE_SIZE, Run};

/// Guest memory from address 0 up, as vm-memory sees it.
pub type WindowMemory = GuestRegionCollection<WindowRegion>;

/// The one region of a [`WindowMemory`]. It keeps the window's addresses from being used for
/// anything else, which vm-memory's own region over a foreign mapping would not.
#[derive(Debug)]
pub struct WindowRegion {
    mapping: Arc<Mapping>,
}

/// Memory that is shared with nobody, zeros at first: for guests that are never forked, such as those
/// that a benchmark compares with.
///
/// # Errors
/// What mmap says, when `len_bytes` are more than it gives.
pub fn anonymous(len_bytes: usize) -> io::Result<WindowMemory> {
    Ok(view(Arc::new(Mapping::anonymous(len_bytes)?)))
}

/// Makes the view of a window's mapping.
pub(super) fn view(mapping: Arc<Mapping>) -> WindowMemory {
    WindowMemory::from_regions(vec![WindowRegion { mapping }])
        .expect("a single region is in order and overlaps nothing")
}

impl GuestMemoryRegion for WindowRegion {
    type B = ();

    fn len(&self) -> GuestUsize {
        self.mapping.len_bytes() as GuestUsize
    }

    fn start_addr(&self) -> GuestAddress {
        GuestAddress(0)
    }

    fn bitmap(&self) -> BS<'_, Self::B> {}

    fn get_host_address(&self, address: MemoryRegionAddress) -> Result<*mut u8, Error> {
        let address = self.check_address(address).ok_or(Error::InvalidBackendAddress)?;
        let base = self.mapping.address(Run::new(0, 0));
        Ok(base.wrapping_add(address.0 as usize))
    }

    fn get_slice(
        &self,
        offset: MemoryRegionAddress,
        count: usize,
    ) -> Result<VolatileSlice<'_, BS<'_, Self::B>>, Error> {
        let all = Run::new(0, (self.mapping.len_bytes() / PAGE_SIZE) as u32);
        // SAFETY: the range is the whole mapping, which lives as long as `self`; access through the
        // slice is volatile, as memory shared with guests needs.
        let all = unsafe { VolatileSlice::new(self.mapping.address(all), all.len_bytes()) };
        Ok(all.subslice(offset.0 as usize, count)?)
    }
}

impl GuestMemoryRegionBytes for WindowRegion {}
