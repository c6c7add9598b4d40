//! The control page: the words of RAM through which a vCPU and the monitor talk without exits.
//!
//! The monitor writes `stop` and `salt`; the payload writes the rest, and clears `stop` when it
//! has obeyed. The salts that a churn has used are kept in a log, so that both sides know exactly
//! with which salt each page was written last.

use super::churn::Region;
use super::map::{PAGE_BYTES, PAGE_WORDS};
use super::memory::words_of;
use super::page::PageHeader;

/// Not 0: the running count or churn ends. The payload sets it back to 0.
pub const STOP: usize = 0;
/// The salt for the pages that a churn writes from now on.
pub const SALT: usize = 1;
/// How many pages this churn has written: the next one is `SEQUENCE % PAGES` of round
/// `SEQUENCE / PAGES`.
pub const SEQUENCE: usize = 2;
/// The churn's first page.
pub const FIRST: usize = 3;
/// How many pages the churn has; 0 if there was none yet.
pub const PAGES: usize = 4;
/// The churn's seed.
pub const SEED: usize = 5;
/// How many pages were not as this vCPU had left them.
pub const MISMATCHES: usize = 6;
/// Address of the first such page.
pub const BAD_ADDRESS: usize = 7;
/// What was wrong with it: [`PageFault::number`](super::PageFault::number).
pub const BAD_FAULT: usize = 8;
/// How often the salt was taken up, the first time included.
pub const SALTS: usize = 9;
/// Where [`Command::Count`](super::Command::Count) stands.
pub const COUNT: usize = 10;
/// How many lines [`Command::Puts`](super::Command::Puts) has printed.
pub const LINES: usize = 11;
/// The log of salts: pairs of the first sequence number that a salt was used for, and the salt.
/// The one taken up as number n is in the pair n % [`LOG_PAIRS`].
pub const LOG: usize = PAGE_WORDS - 2 * LOG_PAIRS;
/// How many pairs the log has.
pub const LOG_PAIRS: usize = 64;

/// Offset in bytes of a word of the control page.
#[must_use]
pub const fn offset(word: usize) -> u64 {
    word as u64 * 8
}

/// The word of pair `number` of the log.
pub(crate) const fn log_pair(number: u64) -> usize {
    LOG + 2 * (number as usize % LOG_PAIRS)
}

/// The salt with which page number `sequence` of the churn was written.
pub(crate) fn salt_of(load: impl Fn(usize) -> u64, sequence: u64) -> Option<u64> {
    let salts = load(SALTS);
    let oldest = salts.saturating_sub(LOG_PAIRS as u64);
    (oldest..salts)
        .rev()
        .map(log_pair)
        .find(|pair| load(*pair) <= sequence)
        .map(|pair| load(pair + 1))
}

/// What a page of a churn must hold, as its control page tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The churn has not come to it yet.
    Unwritten,
    /// It is the page that is verified and written next: in a vCPU that was interrupted it may
    /// hold its last content, the next one, or a part of each.
    InFlight,
    /// Exactly this.
    Page(PageHeader),
}

/// A control page as the monitor reads it, of a vCPU that does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlView {
    words: [u64; PAGE_WORDS],
}

impl ControlView {
    /// The control page that these bytes are.
    #[must_use]
    pub fn new(bytes: &[u8; PAGE_BYTES]) -> Self {
        Self { words: core::array::from_fn(words_of(bytes)) }
    }

    /// One of its words, such as [`SEQUENCE`] or [`COUNT`].
    #[must_use]
    pub fn word(&self, word: usize) -> u64 {
        self.words[word]
    }

    /// The pages of the churn, if there was one.
    #[must_use]
    pub fn region(&self) -> Option<Region> {
        Region::new(self.word(FIRST), self.word(PAGES))
    }

    /// What page number `page` must hold. `running`: the vCPU was interrupted in the churn, so
    /// that one page is in flight.
    #[must_use]
    pub fn expected(&self, page: u64, running: bool) -> Expected {
        let Some(region) = self.region() else { return Expected::Unwritten };
        let Some(index) = region.index(page) else { return Expected::Unwritten };
        let sequence = self.word(SEQUENCE);
        if running && sequence % region.pages() == index {
            return Expected::InFlight;
        }
        let Some(written) = region.last_written(index, sequence) else {
            return Expected::Unwritten;
        };
        let round = written / region.pages();
        let Some(salt) = salt_of(|word| self.word(word), written) else {
            return Expected::Unwritten;
        };
        Expected::Page(PageHeader { page, round, salt, seed: self.word(SEED) })
    }
}

#[cfg(test)]
mod tests;
