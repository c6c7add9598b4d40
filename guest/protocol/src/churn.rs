//! The churn: a guest that goes round and round over its pages, each time making sure that a page
//! holds exactly what this guest wrote there last, and then writing the next round.
//!
//! All its state is in the control page and in the pages, so a fork takes it along. When the
//! monitor gives each side of a fork a salt of its own, a page that one side sees of the other's,
//! or a write that was lost, does not verify.

use super::control::{
    BAD_ADDRESS, BAD_FAULT, FIRST, LOG_PAIRS, MISMATCHES, PAGES, SALT, SALTS, SEED, SEQUENCE, STOP,
    log_pair, salt_of,
};
use super::devices::VALUES;
use super::map::PAGE_BYTES;
use super::memory::Memory;
use super::page::{PageHeader, verify_exact_words};
use super::table;

/// A run of pages, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    first: u64,
    pages: u64,
}

impl Region {
    /// The `pages` pages from page `first` on; `None` if there are none, or too many to number.
    #[must_use]
    pub const fn new(first: u64, pages: u64) -> Option<Self> {
        if pages == 0 || first.checked_add(pages).is_none() {
            return None;
        }
        Some(Self { first, pages })
    }

    /// The first page.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// How many pages.
    #[must_use]
    pub const fn pages(&self) -> u64 {
        self.pages
    }

    /// The page after the last one.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.first + self.pages
    }

    /// Where page `page` is among the pages.
    #[must_use]
    pub const fn index(&self, page: u64) -> Option<u64> {
        if page >= self.first && page < self.end() { Some(page - self.first) } else { None }
    }

    /// The sequence number with which the page at `index` was written last, when `sequence` pages
    /// have been written.
    #[must_use]
    pub const fn last_written(&self, index: u64, sequence: u64) -> Option<u64> {
        if sequence <= index {
            return None;
        }
        Some(index + (sequence - 1 - index) / self.pages * self.pages)
    }
}

/// What [`Command::Churn`](super::Command::Churn) replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How often it has gone over all pages.
    pub rounds: u64,
    /// How many pages of the next round it has written.
    pub position: u64,
    /// How many pages were not as this guest had left them.
    pub mismatches: u64,
    /// The [`Checksum`](super::Checksum) of the pages as they are now.
    pub checksum: u64,
}

impl Outcome {
    /// The values of the reply.
    #[must_use]
    pub const fn values(&self) -> [u64; VALUES] {
        [self.rounds, self.position, self.mismatches, self.checksum]
    }

    /// The outcome that a reply with these values tells.
    #[must_use]
    pub const fn from_values([rounds, position, mismatches, checksum]: [u64; VALUES]) -> Self {
        Self { rounds, position, mismatches, checksum }
    }
}

/// Begins a churn over `region` in the control page, page number `control`. Nothing is verified in
/// its round 0, since the churn does not know what was there.
pub fn start(memory: &mut impl Memory, control: u64, region: Region, seed: u64) {
    let salt = memory.load(control, SALT);
    let words = [
        (SEQUENCE, 0),
        (FIRST, region.first()),
        (PAGES, region.pages()),
        (SEED, seed),
        (MISMATCHES, 0),
        (BAD_ADDRESS, 0),
        (BAD_FAULT, 0),
        (log_pair(0), 0),
        (log_pair(0) + 1, salt),
        (SALTS, 1),
    ];
    for (word, value) in words {
        memory.store(control, word, value);
    }
}

/// The region of the churn that the control page tells of.
pub fn region(memory: &impl Memory, control: u64) -> Option<Region> {
    Region::new(memory.load(control, FIRST), memory.load(control, PAGES))
}

/// Goes on with the churn until `stop` is set or `limit` pages are written (0: no limit).
/// `None` if none was ever begun.
pub fn run(memory: &mut impl Memory, control: u64, limit: u64) -> Option<Outcome> {
    let region = region(memory, control)?;
    let mut left = limit;
    while memory.load(control, STOP) == 0 {
        step(memory, control, region);
        left = left.wrapping_sub(1);
        if left == 0 {
            break;
        }
    }
    memory.store(control, STOP, 0);
    let sequence = memory.load(control, SEQUENCE);
    Some(Outcome {
        rounds: sequence / region.pages(),
        position: sequence % region.pages(),
        mismatches: memory.load(control, MISMATCHES),
        checksum: table::sum(memory, region.first(), region.pages()),
    })
}

/// Verifies one page and writes its next round. The order matters to a monitor that looks in
/// between: the log names the salt before a page is written with it, and the sequence number
/// moves on when the page is whole.
fn step(memory: &mut impl Memory, control: u64, region: Region) {
    let sequence = memory.load(control, SEQUENCE);
    let seed = memory.load(control, SEED);
    let page = region.first() + sequence % region.pages();
    let round = sequence / region.pages();
    if let Some(written) = sequence.checked_sub(region.pages()) {
        let salt = salt_of(|word| memory.load(control, word), written).unwrap_or_default();
        let expected = PageHeader { page, round: round - 1, salt, seed };
        if let Err(fault) = verify_exact_words(|index| memory.load(page, index), &expected) {
            note_mismatch(memory, control, page, fault.number());
        }
    }
    let salt = take_up_salt(memory, control, sequence, region.pages());
    PageHeader { page, round, salt, seed }.write(memory);
    memory.store(control, SEQUENCE, sequence + 1);
}

fn note_mismatch(memory: &mut impl Memory, control: u64, page: u64, fault: u64) {
    let mismatches = memory.load(control, MISMATCHES);
    if mismatches == 0 {
        memory.store(control, BAD_ADDRESS, page * PAGE_BYTES as u64);
        memory.store(control, BAD_FAULT, fault);
    }
    memory.store(control, MISMATCHES, mismatches + 1);
}

/// The salt for page number `sequence`: the monitor's, which is logged if it is new. When the log
/// is full of salts that pages still have, the old salt stays until one of them has gone.
fn take_up_salt(memory: &mut impl Memory, control: u64, sequence: u64, pages: u64) -> u64 {
    let salts = memory.load(control, SALTS);
    let current = memory.load(control, log_pair(salts - 1) + 1);
    let wanted = memory.load(control, SALT);
    if wanted == current {
        return current;
    }
    if let Some(oldest) = salts.checked_sub(LOG_PAIRS as u64) {
        let replaced_at = memory.load(control, log_pair(oldest + 1));
        // Pages from number `sequence + 1 - pages` on are still to be verified.
        if replaced_at + pages > sequence + 1 {
            return current;
        }
    }
    let pair = log_pair(salts);
    memory.store(control, pair, sequence);
    memory.store(control, pair + 1, wanted);
    memory.store(control, SALTS, salts + 1);
    wanted
}

#[cfg(test)]
mod tests;
