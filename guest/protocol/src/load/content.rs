//! What the sectors of a load hold.
//!
//! The first word of a sector is its *stamp*, which follows from the sector's number and from the
//! *base* of whoever wrote the block; the last is the stamp's complement. The words between depend on
//! the seed and their place only, so that preparing a write costs two words a sector.

use crate::table::{key, keyed_word, mix};

/// Words of a sector.
pub const SECTOR_WORDS: usize = 64;

const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The base of a region that no load has written yet. Never that of a [`written`] block, nor 0.
#[must_use]
pub const fn original(seed: u64) -> u64 {
    mix(seed) << 1 | 1 << 63
}

/// The base of the block that was written as transfer number `number` with the salt `salt`.
#[must_use]
pub const fn written(salt: u64, number: u64) -> u64 {
    mix(mix(salt) ^ number) | 1
}

/// The first word of a sector.
#[must_use]
pub const fn stamp(base: u64, sector: u64) -> u64 {
    mix(base.wrapping_add(sector.wrapping_mul(ODD)))
}

/// The last word of a sector.
#[must_use]
pub const fn end_stamp(base: u64, sector: u64) -> u64 {
    !stamp(base, sector)
}

/// A word of a sector that is neither the first nor the last.
#[must_use]
pub const fn body(seed: u64, index: usize) -> u64 {
    keyed_word(key(seed, 0), index)
}

/// All words of a sector.
#[must_use]
pub fn sector_words(seed: u64, base: u64, sector: u64) -> [u64; SECTOR_WORDS] {
    let mut words = core::array::from_fn(|index| body(seed, index));
    words[0] = stamp(base, sector);
    words[SECTOR_WORDS - 1] = end_stamp(base, sector);
    words
}
