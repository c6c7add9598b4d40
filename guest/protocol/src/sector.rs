//! A sector as a storm writes it: a header that says who wrote it, when and where, and a body that
//! follows from it. So a sector proves by itself that it is whole, like a [churned page](super::page).

use super::table::{mix, stepped_word};

/// 8-byte words in a sector.
pub const SECTOR_WORDS: usize = 64;

/// Words of the header: salt, sequence, sector, seed, seal.
pub(crate) const HEADER_WORDS: usize = 5;
const SEAL: usize = HEADER_WORDS - 1;

/// Who wrote a sector, when, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SectorHeader {
    /// The salt that the writer had from the monitor.
    pub salt: u64,
    /// The number of the transfer among all of the writer's storm.
    pub sequence: u64,
    /// The sector's own number.
    pub sector: u64,
    /// The seed of the storm.
    pub seed: u64,
}

/// What a sector holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing but zeros.
    Zeros,
    /// A whole sector of a storm.
    Whole(SectorHeader),
    /// The header of one, and a body that is not its own.
    Torn {
        /// The header.
        header: SectorHeader,
        /// The first word that does not follow from it.
        index: usize,
    },
    /// No such header: torn in it, or not a storm's.
    Broken,
}

impl SectorHeader {
    /// The last word of the header, which binds the others; the body follows from it.
    const fn seal(&self) -> u64 {
        let seal = mix(self.sector ^ 0x7365_6374_6f72);
        let seal = mix(seal ^ self.sequence);
        let seal = mix(seal ^ self.salt);
        mix(seal ^ self.seed)
    }

    /// All its words.
    #[must_use]
    pub fn words(&self) -> [u64; SECTOR_WORDS] {
        let seal = self.seal();
        let mut words: [u64; SECTOR_WORDS] =
            core::array::from_fn(|index| stepped_word(seal, index as u64));
        words[..HEADER_WORDS].copy_from_slice(&[
            self.salt,
            self.sequence,
            self.sector,
            self.seed,
            seal,
        ]);
        words
    }
}

impl Content {
    /// What these words are.
    #[must_use]
    pub fn of(words: &[u64; SECTOR_WORDS]) -> Self {
        let [salt, sequence, sector, seed, seal, ..] = *words;
        let header = SectorHeader { salt, sequence, sector, seed };
        if seal != header.seal() {
            let zeros = words.iter().all(|word| *word == 0);
            return if zeros { Self::Zeros } else { Self::Broken };
        }
        match (SEAL + 1..SECTOR_WORDS)
            .find(|index| words[*index] != stepped_word(seal, *index as u64))
        {
            Some(index) => Self::Torn { header, index },
            None => Self::Whole(header),
        }
    }
}

/// The headers of storms' sectors that stand anywhere in these words.
pub fn headers_in(words: &[u64]) -> impl Iterator<Item = SectorHeader> {
    words.windows(HEADER_WORDS).filter_map(|words| {
        let [salt, sequence, sector, seed, seal] = *words else { return None };
        let header = SectorHeader { salt, sequence, sector, seed };
        (header.seal() == seal).then_some(header)
    })
}

/// The words of a sector of which the monitor has the bytes.
#[must_use]
pub fn sector_words(bytes: &[u8; 512]) -> [u64; SECTOR_WORDS] {
    let (words, _) = bytes.as_chunks::<8>();
    core::array::from_fn(|index| u64::from_le_bytes(words[index]))
}

#[cfg(test)]
mod tests;
