//! A slot: a buffer, and the transfer that uses it.

use super::plan::Plan;
use crate::memory::Memory;

/// The words of a slot's record.
#[derive(Clone, Copy)]
pub(super) enum Word {
    /// See the constants.
    State,
    /// The block that is read or written.
    Block,
    /// What it holds afterwards.
    Base,
    /// How many transfers the slot has had.
    Turns,
    /// How many blocks of the slot were looked at when reading back.
    Looked,
}

/// Nothing is in flight.
pub(super) const FREE: u64 = 0;
pub(super) const READS: u64 = 1;
pub(super) const WRITES: u64 = 2;

/// Where a slot's record is.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    address: u64,
}

impl Slot {
    #[inline(always)]
    pub(super) const fn new(plan: &Plan, slot: u64) -> Self {
        Self { address: plan.slot(slot) }
    }

    #[inline(always)]
    pub(super) fn get(self, memory: &impl Memory, word: Word) -> u64 {
        memory.word(self.address + word as u64 * 8)
    }

    #[inline(always)]
    pub(super) fn set(self, memory: &mut impl Memory, word: Word, value: u64) {
        memory.set_word(self.address + word as u64 * 8, value);
    }

    #[inline(always)]
    pub(super) fn is_free(self, memory: &impl Memory) -> bool {
        self.get(memory, Word::State) == FREE
    }
}
