//! Which transfer is next: the same for everybody who has the same numbers.

use crate::disk::Operation;
use crate::table::mix;

/// What decides about the transfers of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Where its choices come from.
    pub seed: u64,
    /// How many slots there are. Each has one transfer in flight at a time.
    pub slots: u64,
    /// Blocks of the region, at least as many as slots.
    pub blocks: u64,
    /// How many of 256 transfers are writes.
    pub writes: u64,
}

/// A transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// [`Operation::Read`] or [`Operation::Write`].
    pub operation: Operation,
    /// Number of the block in the region.
    pub block: u64,
}

impl Pattern {
    /// What the slot `slot` does after it has done `turn` others: the number of its block is that of
    /// the slot modulo the number of slots, so that slots never meet.
    #[must_use]
    pub const fn next(&self, slot: u64, turn: u64) -> Next {
        let choice = mix(mix(self.seed ^ slot).wrapping_add(turn));
        let operation =
            if choice & 0xff < self.writes { Operation::Write } else { Operation::Read };
        let block = (choice >> 8) % self.blocks_of_slot() * self.slots + slot;
        Next { operation, block }
    }

    /// How many blocks each slot has. What is left over is not used.
    #[must_use]
    pub const fn blocks_of_slot(&self) -> u64 {
        self.blocks / self.slots
    }
}
