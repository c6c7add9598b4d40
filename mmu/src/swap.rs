//! The swap: content that was evicted, and who shares it.
//!
//! An evicted frame keeps its slot in its layer. The swap holds one reference on it, for all the
//! entries together that lead to it, and either the place where its bytes were written or, while
//! somebody else still holds the frame, the frame itself ("swap cache"). So what comes back is
//! always the frame that went, and a pin never loses sight of it.

use std::collections::HashMap;

use crate::backing::SwapPlace;
use crate::gfn::Gfn;
use crate::table::{LayerId, SlotId};

#[cfg(test)]
mod tests;

/// One evicted frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) layer: LayerId,
    pub(crate) gfn: Gfn,
    /// Entries of spaces and images that lead here.
    pub(crate) sharers: u32,
    /// Where the bytes are; `None` while they are in the frame.
    pub(crate) place: Option<SwapPlace>,
}

/// All evicted frames of a family.
#[derive(Clone, Debug, Default)]
pub(crate) struct Swap {
    slots: HashMap<SlotId, Slot>,
    by_frame: HashMap<(LayerId, Gfn), SlotId>,
    /// Numbers that were used before.
    free: Vec<SlotId>,
}

impl Swap {
    /// The slot that an entry names.
    ///
    /// # Panics
    /// When there is none: a broken count of sharers.
    pub(crate) fn slot(&mut self, id: SlotId) -> &mut Slot {
        self.slots
            .get_mut(&id)
            .unwrap_or_else(|| panic!("swap slot {} is gone while an entry names it", id.0))
    }

    /// The slot of a frame that somebody swapped out before.
    pub(crate) fn of_frame(&self, layer: LayerId, gfn: Gfn) -> Option<SlotId> {
        self.by_frame.get(&(layer, gfn)).copied()
    }

    /// Adds a slot.
    pub(crate) fn add(&mut self, slot: Slot) -> SlotId {
        let next = || SlotId(u32::try_from(self.slots.len()).expect("fewer slots than 2^32"));
        let id = self.free.pop().unwrap_or_else(next);
        self.by_frame.insert((slot.layer, slot.gfn), id);
        self.slots.insert(id, slot);
        id
    }

    /// Takes away one sharer. The slot is returned, and gone, when it was the last.
    pub(crate) fn leave(&mut self, id: SlotId) -> Option<Slot> {
        let slot = self.slot(id);
        slot.sharers -= 1;
        if slot.sharers > 0 {
            return None;
        }
        let slot = self.slots.remove(&id)?;
        self.by_frame.remove(&(slot.layer, slot.gfn));
        self.free.push(id);
        Some(slot)
    }

    /// All slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.values()
    }
}
