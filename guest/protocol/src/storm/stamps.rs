//! Bytes beside buffers, which only the CPU writes: the 8 bytes at an address, a multiple of 8,
//! follow from a key and the address; where a run begins or ends within, only those of the run.

use crate::memory::{ByteMemory, Memory};
use crate::table::keyed_word;

/// A stamp that is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadStamp {
    /// Where its word is.
    pub address: u64,
    /// What it must hold, with zeros in place of bytes that are not stamps.
    pub expected: u64,
    /// What it holds.
    pub found: u64,
}

fn stamp(key: u64, address: u64) -> u64 {
    keyed_word(key, (address / 8) as usize)
}

/// The bytes of the word at `address` that lie in the run.
fn mask(address: u64, from: u64, to: u64) -> u64 {
    let low = from.saturating_sub(address).min(8) * 8;
    let high = to.saturating_sub(address).min(8) * 8;
    let below = |bits: u64| if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
    below(high) & !below(low)
}

/// Writes the stamps of a run.
pub(super) fn write(memory: &mut impl ByteMemory, key: u64, from: u64, to: u64) {
    let mut address = from;
    while address < to {
        let word = stamp(key, address & !7);
        if address.is_multiple_of(8) && to - address >= 8 {
            memory.set_word(address, word);
            address += 8;
        } else {
            memory.set_byte(address, (word >> (address % 8 * 8)) as u8);
            address += 1;
        }
    }
}

/// The first stamp of a run that follows neither from `key` nor from `next`, if that is not 0.
pub(super) fn check(
    memory: &impl Memory,
    [key, next]: [u64; 2],
    from: u64,
    to: u64,
) -> Option<BadStamp> {
    (from & !7..to).step_by(8).find_map(|address| {
        let mask = mask(address, from, to);
        let (expected, found) = (stamp(key, address) & mask, memory.word(address) & mask);
        let differs = expected ^ found;
        if differs == 0 {
            return None;
        }
        // An interrupted writer may have come to the middle of a word.
        let other = (stamp(next, address) & mask) ^ found;
        let either = next != 0
            && (0..64)
                .step_by(8)
                .all(|bit| (differs >> bit & 0xff == 0) || (other >> bit & 0xff == 0));
        (!either).then_some(BadStamp { address, expected, found })
    })
}
