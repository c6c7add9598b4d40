//! A storm as the monitor sees it: the memory of a guest that does not run, and the disk.

use super::finding::{Finding, FindingKind, Judge, expected_words};
use super::lent::{Lent, LentPage, bad_page};
use super::plan::{LENT_PAGES, Plan};
use super::shadow::Shadow;
use super::verify::{bad_stamp, knows};
use super::words::{self, flag};
use crate::map::PAGE_BYTES;
use crate::memory::Memory;
use crate::sector::sector_words;

/// The storm of one vCPU, in memory that the monitor reads. The guest may be anywhere in it.
#[derive(Clone, Copy, Debug)]
pub struct StormView<'a, M> {
    memory: &'a M,
    control: u64,
    plan: Plan,
}

impl<'a, M: Memory> StormView<'a, M> {
    /// The storm of the vCPU with the control page `control` (its page number), if there is one.
    /// Memory is asked for the pages of the plan's memory and the control page only.
    #[must_use]
    pub fn new(memory: &'a M, control: u64) -> Option<Self> {
        let plan = Plan::from_words(|word| memory.load(control, word))?;
        Some(Self { memory, control, plan })
    }

    /// Its parameters.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// A word of the control page, such as [`IN_FLIGHT`](words::IN_FLIGHT).
    #[must_use]
    pub fn word(&self, word: usize) -> u64 {
        self.memory.load(self.control, word)
    }

    /// How many findings of a kind the guest has.
    #[must_use]
    pub fn count(&self, kind: FindingKind) -> u64 {
        self.word(words::FINDINGS + kind as usize)
    }

    /// The guest's first finding.
    #[must_use]
    pub fn first_finding(&self) -> Option<Finding> {
        Finding::from_words(core::array::from_fn(|n| self.word(words::FIRST_FINDING + n)))
    }

    /// What a sector of the region must hold.
    #[must_use]
    pub fn shadow(&self, sector: u64) -> Shadow {
        Shadow::load(self.memory, &self.plan, sector)
    }

    /// Verifies the bytes that the guest's disk has in a sector of the region. While transfers are
    /// in flight, the sectors that they change may hold anything of this guest.
    #[must_use]
    pub fn verify_sector(&self, sector: u64, bytes: &[u8; 512]) -> Option<Finding> {
        let words = sector_words(bytes);
        let expected = self.shadow(sector).expected;
        let history = |salt, sequence| knows(self.memory, &self.plan, self.control, salt, sequence);
        let fresh = self.plan.has(flag::FRESH) || self.plan.has(flag::ZEROS);
        let kind =
            Judge { seed: self.plan.seed, fresh, history }.judge(sector, expected, &words)?;
        Some(Finding {
            kind,
            address: 0,
            sector,
            transfer: 0,
            expected: expected_words(expected),
            found: [words[0], words[1]],
        })
    }

    /// Verifies the stamps beside all buffers; bad ones, one for each slot at most.
    pub fn verify_stamps(&self) -> impl Iterator<Item = Finding> {
        (0..self.plan.depth).filter_map(|slot| bad_stamp(self.memory, &self.plan, slot))
    }

    /// The pages that are given up from time to time: their numbers, and what the guest says of them.
    pub fn lent(&self) -> impl Iterator<Item = (u64, Lent)> {
        (0..LENT_PAGES).map(|number| {
            let page = LentPage::new(&self.plan, number);
            (page.address / PAGE_BYTES as u64, page.state(self.memory))
        })
    }

    /// Verifies these pages; bad ones, one finding each.
    pub fn verify_lent(&self) -> impl Iterator<Item = Finding> {
        (0..LENT_PAGES).filter_map(|number| bad_page(self.memory, &self.plan, number))
    }
}
