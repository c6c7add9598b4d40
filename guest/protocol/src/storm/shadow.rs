//! What each sector of the region must hold.

use super::plan::Plan;
use crate::memory::Memory;

/// What a sector must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Anything: nothing was written there yet, or a write failed, or it was discarded.
    Unknown,
    /// Zeros.
    Zeros,
    /// What this transfer wrote.
    Written {
        /// Its salt.
        salt: u64,
        /// Its number.
        sequence: u64,
    },
    /// A transfer that changes it is prepared or in flight: what was there before, or what it
    /// writes, or a part of each.
    Changing,
}

/// The shadow of one sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// What it must hold.
    pub expected: Expected,
    /// A transfer that uses it is prepared or in flight.
    pub busy: bool,
}

const UNKNOWN: u64 = 0;
const ZEROS: u64 = 1;
const WRITTEN: u64 = 2;
const CHANGING: u64 = 3;
const STATE: u64 = 3;
const BUSY: u64 = 4;
const SEQUENCE_SHIFT: u32 = 3;

impl Shadow {
    /// A sector that no transfer uses.
    pub(super) const fn idle(expected: Expected) -> Self {
        Self { expected, busy: false }
    }

    /// The shadow that these two words are.
    #[must_use]
    pub const fn from_words([state, salt]: [u64; 2]) -> Self {
        let expected = match state & STATE {
            ZEROS => Expected::Zeros,
            WRITTEN => Expected::Written { salt, sequence: state >> SEQUENCE_SHIFT },
            CHANGING => Expected::Changing,
            _ => Expected::Unknown,
        };
        Self { expected, busy: state & BUSY != 0 }
    }

    const fn state(&self) -> u64 {
        let state = match self.expected {
            Expected::Unknown => UNKNOWN,
            Expected::Zeros => ZEROS,
            Expected::Written { sequence, .. } => WRITTEN | sequence << SEQUENCE_SHIFT,
            Expected::Changing => CHANGING,
        };
        state | if self.busy { BUSY } else { 0 }
    }

    pub(super) fn load(memory: &impl Memory, plan: &Plan, sector: u64) -> Self {
        let at = plan.shadow(sector);
        Self::from_words([memory.word(at), memory.word(at + 8)])
    }

    /// A new salt comes first: a sector is changing before it is written, so a monitor that looks
    /// between the two stores does not ask for it.
    pub(super) fn store(&self, memory: &mut impl Memory, plan: &Plan, sector: u64) {
        let at = plan.shadow(sector);
        if let Expected::Written { salt, .. } = self.expected {
            memory.set_word(at + 8, salt);
        }
        memory.set_word(at, self.state());
    }
}
