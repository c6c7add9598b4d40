//! Pages that the storm gives up for a while, so that the monitor may discard them.
//!
//! Each is *kept* with a content that follows from a key, then *given up*, then taken back: by then
//! it holds what it held, or zeros if the monitor has discarded it, all of it. Some reads go to
//! pages that are given up, so that a discard meets the pins of transfers in flight.
//!
//! The monitor discards while the vCPU is stopped, so the guest needs no lock: it says that it takes a
//! page back before it looks at it.

use super::finding::{Finding, FindingKind};
use super::plan::{LENT_PAGES, Plan};
use super::run::Storm;
use super::slot::{Slot, Word};
use super::words;
use crate::disk::{Bus, SECTOR_BYTES};
use crate::map::{PAGE_BYTES, PAGE_WORDS};
use crate::memory::{ByteMemory, Memory};
use crate::sector::SECTOR_WORDS;
use crate::table::{mix, stepped_word};

/// Blocks of a sector's size in a page.
pub(super) const BLOCKS: u64 = PAGE_BYTES as u64 / SECTOR_BYTES;

/// What the guest says of such a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Lent {
    /// It is being written, or was never used.
    Changing = 0,
    /// It holds what the guest wrote.
    Kept = 1,
    /// Given up: it holds what it held, or zeros.
    GivenUp = 2,
    /// Given up, and the target of a read that is prepared or in flight.
    Target = 3,
}

/// A page, by its number among those of the storm.
#[derive(Clone, Copy)]
pub(super) struct LentPage {
    pub(super) number: u64,
    entry: u64,
    pub(super) address: u64,
}

impl LentPage {
    pub(super) fn new(plan: &Plan, number: u64) -> Self {
        Self { number, entry: plan.lent_entry(number), address: plan.lent_page(number) }
    }

    pub(super) fn state(self, memory: &impl Memory) -> Lent {
        match memory.word(self.entry) {
            1 => Lent::Kept,
            2 => Lent::GivenUp,
            3 => Lent::Target,
            _ => Lent::Changing,
        }
    }

    pub(super) fn set_state(self, memory: &mut impl Memory, state: Lent) {
        memory.set_word(self.entry, state as u64);
    }

    fn key(self, memory: &impl Memory) -> u64 {
        memory.word(self.entry + 8)
    }

    /// What one of its blocks holds when nothing was discarded.
    fn block(self, memory: &impl Memory, block: u64) -> [u64; SECTOR_WORDS] {
        let key = self.key(memory);
        core::array::from_fn(|word| stepped_word(key, block * SECTOR_WORDS as u64 + word as u64))
    }

    fn write(self, memory: &mut impl ByteMemory, key: u64) {
        self.set_state(memory, Lent::Changing);
        memory.set_word(self.entry + 8, key);
        for block in 0..BLOCKS {
            let words = self.block(memory, block);
            memory.write_words(self.address + block * SECTOR_BYTES, &words);
        }
        self.set_state(memory, Lent::Kept);
    }

    /// Which of its blocks is at an address.
    pub(super) fn block_of(self, address: u64) -> u64 {
        address.saturating_sub(self.address) / SECTOR_BYTES
    }

    /// Whether a block holds what it held.
    pub(super) fn holds(
        self,
        memory: &impl Memory,
        block: u64,
        words: &[u64; SECTOR_WORDS],
    ) -> bool {
        *words == self.block(memory, block)
    }
}

/// What a page that was given up was found to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Whole,
    Zeros,
}

/// Looks at the blocks of a page, except those of `but`: all hold what they held, or all are zeros.
fn look(
    memory: &impl Memory,
    page: LentPage,
    but: core::ops::Range<u64>,
    may_be_zeros: bool,
) -> Result<Option<Found>, Finding> {
    let mut found = None;
    for block in (0..BLOCKS).filter(|block| !but.contains(block)) {
        let address = page.address + block * SECTOR_BYTES;
        let mut words = [0; SECTOR_WORDS];
        memory.read_words(address, &mut words);
        let here = match words == [0; SECTOR_WORDS] {
            true if may_be_zeros => Found::Zeros,
            _ => Found::Whole,
        };
        let right = here == Found::Zeros || page.holds(memory, block, &words);
        if !right || *found.get_or_insert(here) != here {
            let expected = page.block(memory, block);
            let bad = (0..SECTOR_WORDS).find(|word| words[*word] != expected[*word]).unwrap_or(0);
            return Err(Finding {
                kind: FindingKind::Corrupt,
                address: address + bad as u64 * 8,
                sector: 0,
                transfer: 0,
                expected: [expected[bad], 0],
                found: [words[bad], 0],
            });
        }
    }
    Ok(found)
}

/// What is wrong with one of the pages, whose guest does not run.
pub(super) fn bad_page(memory: &impl Memory, plan: &Plan, number: u64) -> Option<Finding> {
    let page = LentPage::new(plan, number);
    let may_be_zeros = match page.state(memory) {
        Lent::Kept => false,
        Lent::GivenUp => true,
        Lent::Changing | Lent::Target => return None,
    };
    look(memory, page, 0..0, may_be_zeros).err()
}

impl<B: Bus> Storm<'_, B> {
    /// Does something with the next page.
    pub(super) fn lend_one(&mut self) {
        let number = self.get(words::LENT_CURSOR) % LENT_PAGES;
        self.set(words::LENT_CURSOR, number + 1);
        let page = LentPage::new(&self.plan, number);
        match page.state(self.bus) {
            Lent::Changing => self.keep(page),
            Lent::Kept => {
                if let Err(finding) = look(self.bus, page, 0..0, false) {
                    self.note(&finding);
                }
                page.set_state(self.bus, Lent::GivenUp);
            }
            Lent::GivenUp if self.choose(4) == 0 => self.take_back(page, 0..0),
            Lent::GivenUp | Lent::Target => {}
        }
    }

    /// Writes a page anew.
    fn keep(&mut self, page: LentPage) {
        let salt = self.bus.load(self.control, crate::control::SALT);
        let before = page.key(self.bus) ^ mix(self.plan.seed ^ page.number);
        page.write(self.bus, mix(before ^ mix(salt)) | 1);
    }

    /// Takes a page back, and verifies it, but for the blocks that a device wrote.
    pub(super) fn take_back(&mut self, page: LentPage, written: core::ops::Range<u64>) {
        page.set_state(self.bus, Lent::Changing);
        match look(self.bus, page, written, true) {
            Ok(Some(Found::Zeros)) => self.add(words::DISCARDED, 1),
            Ok(_) => {}
            Err(finding) => self.note(&finding),
        }
        self.keep(page);
    }

    /// A page that is given up, for a read to go to.
    pub(super) fn choose_target(&mut self) -> Option<LentPage> {
        let number = self.choose(LENT_PAGES);
        let page = LentPage::new(&self.plan, number);
        (page.state(self.bus) == Lent::GivenUp).then(|| {
            page.set_state(self.bus, Lent::Target);
            page
        })
    }

    /// The page that a slot's read goes to, if it is one of these.
    pub(super) fn target_of(&self, slot: Slot) -> Option<LentPage> {
        let number = slot.get(self.bus, Word::Target).checked_sub(1)?;
        Some(LentPage::new(&self.plan, number % LENT_PAGES))
    }
}

const _: () = assert!(PAGE_WORDS == SECTOR_WORDS * BLOCKS as usize);
