//! Guest memory for devices: pinned frames, by the addresses of their layers.

#![expect(unsafe_code, reason = "the kernel is given the addresses of pinned frames")]

use std::any::Any;
use std::io;
use std::sync::Arc;

use pincow_mmu::host::HostMemory;
use pincow_mmu::layer::Layer;
use pincow_mmu::live::LiveSpace;
use pincow_mmu::rules::RuleSet;
use pincow_mmu::scenario::AnyPin;
use pincow_mmu::{Gfn, Hold, PAGE_SIZE, PinRequest, SpaceError};

use crate::io::{Buffers, Region};
use crate::virtio::blk::{Direction, Pinner, PortError, Segment};

/// Pins the frames of one guest for the time of a transfer.
///
/// A device never goes through the guest's page tables: a pin finds the frame, and its address in the
/// layer's own mapping, which is neither protected nor remapped while the layer lives. What the host
/// copied in a window is mapped there only; it is not replaced while it is pinned.
pub(super) struct MemoryPinner {
    space: Arc<LiveSpace>,
    mode: PinMode,
}

/// How transfers hold guest memory. What goes against the rules is a negative control: the stress
/// test must see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PinMode {
    /// As the rule set says, until the completion is read.
    #[default]
    Rules,
    /// As the rule set says for such a pin, until the completion is read: what a device would ask
    /// for that registers its buffers, or tells nobody that it pins.
    As(PinRequest),
    /// As the rule set says, until the transfer is submitted.
    LetGoAtOnce,
    /// The frame that is there, without breaking copy-on-write, until the completion is read.
    AsItIs,
}

/// What keeps the frame of one page.
enum Grip {
    Pin(AnyPin<HostMemory>),
    Hold(Hold<HostMemory>),
}

impl Grip {
    fn frame(&self) -> (&Arc<Layer<HostMemory>>, Gfn) {
        match self {
            Self::Pin(pin) => pin.frame(),
            Self::Hold(hold) => hold.frame(),
        }
    }
}

impl MemoryPinner {
    pub(super) fn new(space: Arc<LiveSpace>, mode: PinMode) -> Self {
        Self { space, mode }
    }

    /// How transfers hold memory from now on.
    pub(super) fn set_mode(&mut self, mode: PinMode) {
        self.mode = mode;
    }

    fn grip(&self, gfn: Gfn, direction: Direction) -> Result<Grip, PortError> {
        let space = &self.space;
        let request = match self.mode {
            PinMode::As(request) => request,
            _ => PinRequest::TRANSFER,
        };
        let gripped = match (self.mode, direction) {
            (PinMode::AsItIs, _) => space.hold(gfn).map(Grip::Hold),
            (_, Direction::FromDevice) => {
                space.pin(gfn, request).map(|pin| Grip::Pin(AnyPin::From(pin)))
            }
            (_, Direction::ToDevice) => {
                space.pin(gfn, request).map(|pin| Grip::Pin(AnyPin::To(pin)))
            }
        };
        gripped.map_err(|error| match error {
            // Both pass when other transfers end.
            SpaceError::Wait { .. } | SpaceError::Saturated { .. } => PortError::Busy,
            error => PortError::Failed(io::Error::other(error)),
        })
    }
}

impl Pinner for MemoryPinner {
    fn pin(&mut self, segments: &[Segment], direction: Direction) -> Result<Buffers, PortError> {
        let mut grips = Vec::new();
        let mut regions: Vec<Region> = Vec::new();
        for segment in segments {
            let end = segment.address + u64::from(segment.len);
            let mut at = segment.address;
            while at < end {
                let outside = || PortError::Failed(io::ErrorKind::InvalidInput.into());
                let gfn = Gfn::containing(at).ok_or_else(outside)?;
                let offset = at as usize % PAGE_SIZE;
                let len_bytes = (PAGE_SIZE - offset).min((end - at) as usize);
                let grip = self.grip(gfn, direction)?;
                let (layer, gfn) = grip.frame();
                add(&mut regions, layer.store().address(gfn).wrapping_add(offset), len_bytes);
                grips.push(grip);
                at += len_bytes as u64;
            }
        }
        let held: Arc<dyn Any + Send + Sync> = match self.mode {
            PinMode::Rules | PinMode::As(_) | PinMode::AsItIs => Arc::new(grips),
            PinMode::LetGoAtOnce => {
                Arc::new(grips.iter().map(|grip| grip.frame().0.clone()).collect::<Vec<_>>())
            }
        };
        // SAFETY: each region lies in a frame of a layer that `held` keeps, with the layer's own
        // mapping, which is readable and writable; pins keep the frame itself as well. Frames are
        // never referenced by Rust, since guests write them at any time.
        Ok(unsafe { Buffers::new(regions, held) })
    }

    /// Has the write fault of each page answered beforehand. No fork comes between that and the write,
    /// since it parks the disk.
    fn may_write(&mut self, address: u64, len_bytes: u64) -> bool {
        if self.space.family().rules().set != RuleSet::Wait {
            return true;
        }
        let last = address.saturating_add(len_bytes.saturating_sub(1));
        (address / PAGE_SIZE as u64..=last / PAGE_SIZE as u64).all(|page| {
            let gfn = Gfn::containing(page * PAGE_SIZE as u64);
            let answered = gfn.map(|gfn| self.space.fault(gfn, true));
            !matches!(answered, Some(Err(SpaceError::Wait { .. })))
        })
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

/// The frames that a transfer's memory has pinned, for whoever counts references.
#[cfg(test)]
pub(crate) fn pinned(buffers: &Buffers) -> Vec<(pincow_mmu::table::LayerId, Gfn)> {
    let grips = buffers.held().downcast_ref::<Vec<Grip>>();
    let frame = |grip: &Grip| (grip.frame().0.id(), grip.frame().1);
    grips.map_or_else(Vec::new, |grips| grips.iter().map(frame).collect())
}
