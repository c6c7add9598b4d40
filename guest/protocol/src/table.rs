//! Memory tables: pages whose every word follows from a seed, and checksums over them.

use super::command::TORN;
use super::map::{PAGE_BYTES, PAGE_WORDS};
use super::memory::{Memory, words_of};

const ODD_A: u64 = 0x9e37_79b9_7f4a_7c15;
const ODD_B: u64 = 0xbf58_476d_1ce4_e5b9;

/// Spreads every bit of `value` over all bits of the result. A bijection.
#[must_use]
pub(crate) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(ODD_B);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// What all words of a page have in common.
pub(crate) const fn key(seed: u64, page: u64) -> u64 {
    mix(mix(seed.wrapping_add(ODD_A)) ^ page)
}

/// The word of a page with this key.
pub(crate) const fn keyed_word(key: u64, index: usize) -> u64 {
    let value = (key ^ (index as u64).wrapping_mul(ODD_A)).wrapping_mul(ODD_B);
    value ^ (value >> 32)
}

/// The word of a sector, or of other bytes of a storm, with this key: as different from its
/// neighbours and from the same word of another key as is needed, and no more, since a storm
/// spends its time on these. A loop over it is additions, several at a time.
#[inline(always)]
pub(crate) const fn stepped_word(key: u64, index: u64) -> u64 {
    key.wrapping_add(index.wrapping_mul(ODD_A))
}

/// What [`Command::Fill`](super::Command::Fill) writes to the word `index` of page `page`.
#[must_use]
pub const fn word(seed: u64, page: u64, index: usize) -> u64 {
    keyed_word(key(seed, page), index)
}

/// An order-dependent checksum over whole pages: four lanes, so that it keeps up with memory.
#[derive(Clone, Debug)]
pub struct Checksum {
    lanes: [u64; 4],
}

impl Default for Checksum {
    fn default() -> Self {
        Self::new()
    }
}

impl Checksum {
    /// The checksum of no pages.
    #[must_use]
    pub const fn new() -> Self {
        Self { lanes: [1, 2, 3, 4] }
    }

    /// Adds a page, word by word.
    pub fn add(&mut self, load: impl Fn(usize) -> u64) {
        for index in (0..PAGE_WORDS).step_by(self.lanes.len()) {
            for (lane, sum) in self.lanes.iter_mut().enumerate() {
                *sum = fold(*sum, load(index + lane));
            }
        }
    }

    /// Adds a page of which the monitor has the bytes.
    pub fn add_bytes(&mut self, page: &[u8; PAGE_BYTES]) {
        self.add(words_of(page));
    }

    /// The sum of all pages added.
    #[must_use]
    pub fn finish(&self) -> u64 {
        mix(self.lanes.iter().fold(0, |sum, lane| fold(sum, *lane)))
    }
}

const fn fold(sum: u64, word: u64) -> u64 {
    (sum.rotate_left(23) ^ word).wrapping_mul(ODD_A)
}

/// The checksum of a table that [`Command::Fill`](super::Command::Fill) has written.
#[must_use]
pub fn table_checksum(first: u64, pages: u64, seed: u64) -> u64 {
    let mut sum = Checksum::new();
    for page in first..first + pages {
        let key = key(seed, page);
        sum.add(|index| keyed_word(key, index));
    }
    sum.finish()
}

/// [`Command::Fill`](super::Command::Fill).
pub fn fill(memory: &mut impl Memory, first: u64, pages: u64, seed: u64) {
    for page in first..first + pages {
        let key = key(seed, page);
        for index in 0..PAGE_WORDS {
            memory.store(page, index, keyed_word(key, index));
        }
    }
}

/// [`Command::Check`](super::Command::Check): how many words differ, and the address of the first.
pub fn check(memory: &impl Memory, first: u64, pages: u64, seed: u64) -> (u64, Option<u64>) {
    let mut mismatches = 0;
    let mut first_bad = None;
    for page in first..first + pages {
        let key = key(seed, page);
        for index in 0..PAGE_WORDS {
            if memory.load(page, index) != keyed_word(key, index) {
                mismatches += 1;
                first_bad.get_or_insert(page * PAGE_BYTES as u64 + index as u64 * 8);
            }
        }
    }
    (mismatches, first_bad)
}

/// [`Command::Sum`](super::Command::Sum).
pub fn sum(memory: &impl Memory, first: u64, pages: u64) -> u64 {
    let mut sum = Checksum::new();
    for page in first..first + pages {
        sum.add(|index| memory.load(page, index));
    }
    sum.finish()
}

/// [`Command::Touch`](super::Command::Touch) with a `stride` of at least 1: how many pages.
pub fn touch(memory: &mut impl Memory, first: u64, pages: u64, stride: u64, value: u64) -> u64 {
    let mut touched = 0;
    let mut offset = 0;
    while offset < pages {
        memory.store(first + offset, 0, value);
        touched += 1;
        offset = offset.saturating_add(stride);
    }
    touched
}

/// [`Command::TouchRuns`](super::Command::TouchRuns) with a `stride` of at least 1: how many pages.
pub fn touch_runs(
    memory: &mut impl Memory,
    first: u64,
    pages: u64,
    (run, stride): (u32, u32),
    value: u64,
) -> u64 {
    let mut touched = 0;
    let mut offset = 0;
    while offset < pages {
        touched +=
            touch(memory, first + offset, (run.min(stride) as u64).min(pages - offset), 1, value);
        offset = offset.saturating_add(stride as u64);
    }
    touched
}

/// [`Command::Stamp`](super::Command::Stamp) at an address that is a multiple of 8.
pub fn stamp(memory: &mut impl Memory, address: u64, words: u64, value: u64) {
    for word in 0..words {
        memory.set_word(address + word * 8, value);
    }
}

/// [`Command::Stamped`](super::Command::Stamped) at an address that is a multiple of 8.
pub fn stamped(memory: &impl Memory, address: u64, words: u64) -> u64 {
    let value = memory.word(address);
    let same = (1..words).all(|word| memory.word(address + word * 8) == value);
    if same { value } else { TORN }
}

#[cfg(test)]
mod tests;
