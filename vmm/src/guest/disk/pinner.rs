//! Guest memory for devices: pinned frames, by the addresses of their layers.

#![expect(unsafe_code, reason = "the kernel is given the addresses of pinned frames")]

use std::any::Any;
use std::io;
use std::sync::Arc;

use pincow_mmu::host::Trap;
use pincow_mmu::live::TrapSpace;
use pincow_mmu::scenario::AnyPin;
use pincow_mmu::{Gfn, PAGE_SIZE, PinRequest, SpaceError};

use crate::io::{Buffers, Region};
use crate::virtio::blk::{Direction, Pinner, PortError, Segment};

/// Pins the frames of one guest for the time of a transfer.
///
/// A device never goes through the guest's window: a pin finds the frame, and its address in the
/// layer's own mapping, which is neither protected nor remapped while the layer lives.
pub(super) struct MemoryPinner {
    space: Arc<TrapSpace>,
}

impl MemoryPinner {
    pub(super) fn new(space: Arc<TrapSpace>) -> Self {
        Self { space }
    }

    fn pin_page(&self, gfn: Gfn, direction: Direction) -> Result<AnyPin<Trap>, PortError> {
        let pinned = match direction {
            Direction::FromDevice => self.space.pin(gfn, PinRequest::TRANSFER).map(AnyPin::From),
            Direction::ToDevice => self.space.pin(gfn, PinRequest::TRANSFER).map(AnyPin::To),
        };
        pinned.map_err(|error| match error {
            // Both pass when other transfers end.
            SpaceError::Wait { .. } | SpaceError::Saturated { .. } => PortError::Busy,
            error => PortError::Failed(io::Error::other(error)),
        })
    }
}

impl Pinner for MemoryPinner {
    fn pin(&mut self, segments: &[Segment], direction: Direction) -> Result<Buffers, PortError> {
        let mut pins = Vec::new();
        let mut regions: Vec<Region> = Vec::new();
        for segment in segments {
            let end = segment.address + u64::from(segment.len);
            let mut at = segment.address;
            while at < end {
                let outside = || PortError::Failed(io::ErrorKind::InvalidInput.into());
                let gfn = Gfn::containing(at).ok_or_else(outside)?;
                let offset = at as usize % PAGE_SIZE;
                let len_bytes = (PAGE_SIZE - offset).min((end - at) as usize);
                let pin = self.pin_page(gfn, direction)?;
                let (layer, gfn) = pin.frame();
                add(&mut regions, layer.store().address(gfn).wrapping_add(offset), len_bytes);
                pins.push(pin);
                at += len_bytes as u64;
            }
        }
        let held: Arc<dyn Any + Send + Sync> = Arc::new(pins);
        // SAFETY: each region lies in a frame that one of the pins holds, and a pin holds its layer
        // with the layer's mapping, which is readable and writable. Frames are never referenced by
        // Rust, since guests write them at any time.
        Ok(unsafe { Buffers::new(regions, held) })
    }
}

/// Adds bytes, to the region before them if they go on there.
fn add(regions: &mut Vec<Region>, address: *mut u8, len_bytes: usize) {
    match regions.last_mut() {
        Some(last) if last.address.wrapping_add(last.len_bytes) == address => {
            last.len_bytes += len_bytes;
        }
        _ => regions.push(Region { address, len_bytes }),
    }
}
