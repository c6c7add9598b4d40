//! A churned page: a header that says who wrote it and when, and a body that follows from it.
//!
//! So a page proves by itself that it is whole: a torn page has a body that does not fit its
//! header, and a page from another place, guest or time has a header that nobody expects.

use core::fmt;

use super::map::{PAGE_BYTES, PAGE_WORDS};
use super::memory::{Memory, words_of};
use super::table::{keyed_word, mix};

/// Words of the header: page, round, salt, seed, seal.
const HEADER_WORDS: usize = 5;
const SEAL: usize = HEADER_WORDS - 1;

/// Who wrote a page, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageHeader {
    /// The page's own number.
    pub page: u64,
    /// How often the churn had gone over all its pages before.
    pub round: u64,
    /// The salt that the writer had from the monitor.
    pub salt: u64,
    /// The seed of the churn.
    pub seed: u64,
}

impl PageHeader {
    /// The last word of the header, which binds the others; the body follows from it.
    const fn seal(&self) -> u64 {
        let seal = mix(self.page ^ 0x7069_6e63_6f77);
        let seal = mix(seal ^ self.round);
        let seal = mix(seal ^ self.salt);
        mix(seal ^ self.seed)
    }

    /// Writes the page that this header begins.
    pub fn write(&self, memory: &mut impl Memory) {
        let seal = self.seal();
        let header = [self.page, self.round, self.salt, self.seed, seal];
        for (index, word) in header.into_iter().enumerate() {
            memory.store(self.page, index, word);
        }
        for index in HEADER_WORDS..PAGE_WORDS {
            memory.store(self.page, index, keyed_word(seal, index));
        }
    }
}

/// What is wrong with a churned page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageFault {
    /// Its header is all zeros: nobody wrote it, or the write was lost.
    Blank,
    /// Its header does not fit its seal: it is torn, or not a churned page.
    Broken,
    /// Its header is whole, but a word of its body is not the one that follows from it.
    Torn {
        /// The first such word.
        index: usize,
    },
    /// It is whole, but belongs to another place or another churn.
    Misplaced {
        /// What it is.
        found: PageHeader,
    },
    /// It is whole and in its place, but of another round or salt: a write was lost, or somebody
    /// else's is seen.
    Unexpected {
        /// What it is.
        found: PageHeader,
    },
}

impl PageFault {
    /// Its number in the control page; never 0.
    #[must_use]
    pub const fn number(&self) -> u64 {
        match self {
            Self::Blank => 1,
            Self::Broken => 2,
            Self::Torn { .. } => 3,
            Self::Misplaced { .. } => 4,
            Self::Unexpected { .. } => 5,
        }
    }
}

impl fmt::Display for PageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => write!(f, "never written"),
            Self::Broken => write!(f, "a header that does not fit its seal"),
            Self::Torn { index } => write!(f, "torn at byte {:#x}", index * 8),
            Self::Misplaced { found } => {
                write!(f, "holds page {:#x} of seed {:#x}", found.page, found.seed)
            }
            Self::Unexpected { found } => {
                write!(f, "holds round {} of salt {:#x}", found.round, found.salt)
            }
        }
    }
}

impl core::error::Error for PageFault {}

/// Checks that these are the bytes of page `page`, whole and written by the churn with this seed,
/// in whatever round and with whatever salt.
pub fn verify_page(
    bytes: &[u8; PAGE_BYTES],
    page: u64,
    seed: u64,
) -> Result<PageHeader, PageFault> {
    verify_words(words_of(bytes), page, seed)
}

/// Checks that these are the bytes of exactly the page that `expected` begins.
pub fn verify_exact(bytes: &[u8; PAGE_BYTES], expected: &PageHeader) -> Result<(), PageFault> {
    verify_exact_words(words_of(bytes), expected)
}

/// [`verify_exact`], word by word.
pub(crate) fn verify_exact_words(
    load: impl Fn(usize) -> u64,
    expected: &PageHeader,
) -> Result<(), PageFault> {
    let found = verify_words(load, expected.page, expected.seed)?;
    if found == *expected { Ok(()) } else { Err(PageFault::Unexpected { found }) }
}

fn verify_words(
    load: impl Fn(usize) -> u64,
    page: u64,
    seed: u64,
) -> Result<PageHeader, PageFault> {
    let found = PageHeader { page: load(0), round: load(1), salt: load(2), seed: load(3) };
    let seal = load(SEAL);
    if seal != found.seal() {
        let blank = (0..HEADER_WORDS).all(|index| load(index) == 0);
        return Err(if blank { PageFault::Blank } else { PageFault::Broken });
    }
    for index in HEADER_WORDS..PAGE_WORDS {
        if load(index) != keyed_word(seal, index) {
            return Err(PageFault::Torn { index });
        }
    }
    if (found.page, found.seed) != (page, seed) {
        return Err(PageFault::Misplaced { found });
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
