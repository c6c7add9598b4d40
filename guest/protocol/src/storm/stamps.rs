//! Bytes beside buffers, which only the CPU writes: the 8 bytes at an address, a multiple of 8,
//! follow from a key and the address; where a run begins or ends within, only those of the run.

use crate::memory::{ByteMemory, Memory};
use crate::table::stepped_word;

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
    stepped_word(key, address / 8)
}

/// The bytes of the word at `address` that lie in the run.
fn mask(address: u64, from: u64, to: u64) -> u64 {
    let low = from.saturating_sub(address).min(8) * 8;
    let high = to.saturating_sub(address).min(8) * 8;
    let below = |bits: u64| if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
    below(high) & !below(low)
}

/// Words that are read or written at a time.
const CHUNK: usize = 64;

/// The words from `from` to `to`, both multiples of 8, in chunks: the address of each, and its words.
fn chunks(from: u64, to: u64) -> impl Iterator<Item = (u64, usize)> {
    (from..to).step_by(CHUNK * 8).map(move |at| (at, CHUNK.min(((to - at) / 8) as usize)))
}

/// Writes the stamps of a run.
pub(super) fn write(memory: &mut impl ByteMemory, key: u64, from: u64, to: u64) {
    let first = from.next_multiple_of(8).min(to);
    let last = (to & !7).max(first);
    for address in (from..first).chain(last..to) {
        memory.set_byte(address, (stamp(key, address & !7) >> (address % 8 * 8)) as u8);
    }
    let mut words = [0; CHUNK];
    for (at, count) in chunks(first, last) {
        for (word, address) in words[..count].iter_mut().zip((at..).step_by(8)) {
            *word = stamp(key, address);
        }
        memory.write_words(at, &words[..count]);
    }
}

/// The first stamp of a run that follows neither from `key` nor from `next`, if that is not 0.
pub(super) fn check(memory: &impl Memory, keys: [u64; 2], from: u64, to: u64) -> Option<BadStamp> {
    let mut words = [0; CHUNK];
    chunks(from & !7, to.next_multiple_of(8)).find_map(|(at, count)| {
        memory.read_words(at, &mut words[..count]);
        let each = words[..count].iter().zip((at..).step_by(8));
        let mut others = each.filter(|(word, address)| **word != stamp(keys[0], *address));
        others.find_map(|(word, address)| bad(*word, address, keys, mask(address, from, to)))
    })
}

/// What is wrong with a word that is not all stamp: its bytes under `mask` must be.
#[cold]
fn bad(word: u64, address: u64, [key, next]: [u64; 2], mask: u64) -> Option<BadStamp> {
    let (expected, found) = (stamp(key, address) & mask, word & mask);
    let differs = expected ^ found;
    if differs == 0 {
        return None;
    }
    // An interrupted writer may have come to the middle of a word.
    let other = (stamp(next, address) & mask) ^ found;
    let either = next != 0
        && (0..64).step_by(8).all(|bit| (differs >> bit & 0xff == 0) || (other >> bit & 0xff == 0));
    (!either).then_some(BadStamp { address, expected, found })
}
