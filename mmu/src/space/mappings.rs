//! How many host mappings a window takes, and the budget that they come from.
//!
//! The host limits the mappings of a process (`vm.max_map_count`, 65,530 by default), neighbouring
//! frames of one layer share one, and random first writes tear runs apart: 8,214 mappings were
//! counted at half of 64 MiB written. Write faults never fail, so this is what a space keeps true:
//!
//! **what it has reserved covers its charge, and two more for each aligned block that has protected
//! or evicted pages.**
//!
//! - The *charge* is what the window takes if neighbours never merge that differ in layer *or* in
//!   whether they are writable. It is at least the number of its mappings.
//! - A write to a protected page adds two to the charge, whether it is answered by reuse or by a
//!   copy: it makes an island. They come from the budget.
//! - When the budget has none left, the whole block is copied: every protected page of it, to the
//!   same layer. Islands were charged already, so only the two ends of the block can be new, and the
//!   block has no protected page any more that may need the two mappings again.
//! - Whatever makes a page protected (a fork, write-protection, an eviction) may fail, and restores
//!   the two per block, the *headroom*, for all blocks first.
//! - A page that was evicted and read back stays *watched*: the host goes on looking for a hole there,
//!   in a mapping of its own, until something is mapped over it (`mmu::host`, fact 3). It is charged
//!   as an evicted one is.
//!
//! A pinned page that is protected must stay out of a block copy, and may cost two mappings beyond
//! the reservation. The default set never has one: its pins make pages writable first.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::backing::Backing;
use crate::error::SpaceError;
use crate::gfn::{Gfn, Run};
use crate::table::{Entry, Table};

#[cfg(test)]
mod tests;

/// Blocks per guest, the finest that the budget allows first.
const BLOCKS: [u32; 4] = [256, 64, 16, 4];

/// What a reservation that is not the coarsest may take of what is free: one of so many. So a thousand
/// clones fit into what a process may have by default, and a few have fine blocks.
const MODEST: usize = 256;

/// Mappings taken from the budget at a time, at most: one of [`STEP_PART`] of what is free, so that many spaces
/// which write little leave enough to each other.
const STEP: usize = 64;
const STEP_PART: usize = 4096;

/// The mappings of one window.
pub(crate) struct Mappings<B: Backing> {
    backing: Arc<B>,
    charged: usize,
    reserved: usize,
    pub(crate) block_pages: u32,
    headroom: usize,
    watched: BTreeSet<Gfn>,
}

/// Whether two neighbours are in different mappings. Evicted pages stand alone: they are registered
/// for other events.
fn parted(left: Entry, right: Entry) -> bool {
    match (left, right) {
        (Entry::Mapped(left), Entry::Mapped(right)) => left.layer != right.layer,
        (Entry::Empty, Entry::Empty) => false,
        _ => true,
    }
}

/// Whether two neighbours may come to be in different mappings without further charge.
fn apart(left: Entry, right: Entry) -> bool {
    parted(left, right)
        || matches!((left, right), (Entry::Mapped(left), Entry::Mapped(right))
            if left.writable != right.writable)
}

fn pieces(table: &Table, ends: impl Fn(Entry, Entry) -> bool) -> usize {
    let mut last = None;
    let mut pieces = 1;
    for (_, entry) in table.iter() {
        pieces += usize::from(last.is_some_and(|last| ends(last, entry)));
        last = Some(entry);
    }
    pieces
}

fn block_pages(pages: u32, blocks: u32) -> u32 {
    pages.div_ceil(blocks).next_power_of_two()
}

impl<B: Backing> Mappings<B> {
    /// Reserves what a window over `table` is charged, and headroom.
    pub(crate) fn reserve(backing: &Arc<B>, table: &Table) -> Result<Self, SpaceError> {
        let charged = pieces(table, apart);
        let mut least = usize::MAX;
        for blocks in BLOCKS {
            let block_pages = block_pages(table.pages(), blocks);
            let headroom = 2 * table.pages().div_ceil(block_pages) as usize;
            // A finer reservation is for times of plenty: it leaves the greater part to others.
            let modest =
                blocks == BLOCKS[BLOCKS.len() - 1] || headroom <= backing.free_mappings() / MODEST;
            let reserved = charged + headroom;
            if modest && backing.reserve_mappings(reserved) {
                let backing = Arc::clone(backing);
                let watched = BTreeSet::new();
                return Ok(Self { backing, charged, reserved, block_pages, headroom, watched });
            }
            least = reserved;
        }
        Err(SpaceError::NoMappings { needed: least, free: backing.free_mappings() })
    }

    /// Reserves what a window takes that shows `runs` runs, in which writes tear nothing apart.
    pub(crate) fn of_runs(backing: &Arc<B>, runs: usize) -> Result<Self, SpaceError> {
        if !backing.reserve_mappings(runs) {
            return Err(SpaceError::NoMappings { needed: runs, free: backing.free_mappings() });
        }
        let (backing, watched) = (Arc::clone(backing), BTreeSet::new());
        let (charged, reserved, block_pages, headroom) = (runs, runs, 1 << 31, 0);
        Ok(Self { backing, charged, reserved, block_pages, headroom, watched })
    }

    /// Makes room for a charge of `charge`, with all headroom. `false` when the budget runs short.
    #[must_use]
    pub(crate) fn make_room(&mut self, charge: usize) -> bool {
        let lacking = self.lacking(charge);
        if lacking == 0 {
            return true;
        }
        let step = lacking.max(STEP.min(self.backing.free_mappings() / STEP_PART));
        let got = [step, lacking].into_iter().find(|&n| self.backing.reserve_mappings(n));
        self.reserved += got.unwrap_or(0);
        got.is_some()
    }

    /// Why there is no room for a charge of `charge`.
    pub(crate) fn refusal(&self, charge: usize) -> SpaceError {
        let (needed, free) = (self.lacking(charge), self.backing.free_mappings());
        SpaceError::NoMappings { needed, free }
    }

    fn lacking(&self, charge: usize) -> usize {
        (charge + self.headroom).saturating_sub(self.reserved)
    }

    /// Gives back what was reserved beyond `reserved`, for an operation that failed.
    pub(crate) fn return_down_to(&mut self, reserved: usize) {
        let surplus = self.reserved.saturating_sub(reserved);
        self.reserved -= surplus;
        self.backing.return_mappings(surplus);
    }

    /// Charged ends at the edges of and within `run`.
    pub(crate) fn cuts(&self, table: &Table, run: Run) -> usize {
        self.ends(table, run, apart)
    }

    /// What a window over `table` is charged with the pages that are watched now.
    pub(crate) fn charge_of(&self, table: &Table) -> usize {
        self.pieces(table, apart)
    }

    /// How many mappings a window over `table` takes with the pages that are watched now; at most, where
    /// the host copies pages.
    pub(crate) fn count_of(&self, table: &Table) -> usize {
        if self.headroom == 0 {
            return self.charged;
        }
        self.pieces(table, parted)
    }

    fn pieces(&self, table: &Table, is_end: fn(Entry, Entry) -> bool) -> usize {
        match self.watched.is_empty() {
            true => pieces(table, is_end),
            false => 1 + self.ends(table, table.all(), is_end),
        }
    }

    fn ends(&self, table: &Table, run: Run, is_end: fn(Entry, Entry) -> bool) -> usize {
        let end = (run.first.0 + run.pages).min(table.pages() - 1);
        let between = |gfn: &u32| {
            let (left, right) = (Gfn(gfn - 1), Gfn(*gfn));
            self.watched.contains(&left)
                || self.watched.contains(&right)
                || is_end(table.get(left), table.get(right))
        };
        (run.first.0.max(1)..=end).filter(between).count()
    }

    /// Notes that a page is no longer evicted. Its charge stays.
    pub(crate) fn brought_back(&mut self, gfn: Gfn) {
        self.watched.insert(gfn);
    }

    /// Notes that something is mapped over the pages of `run`, or that they are evicted, which is
    /// charged anyway. Whoever calls notes the change of the charge.
    pub(crate) fn unwatch(&mut self, run: Run) {
        if !self.watched.is_empty() {
            self.watched.retain(|gfn| !run.numbers().contains(&gfn.0));
        }
    }

    /// Notes that a change turned `before` charged ends into `after`.
    pub(crate) fn changed(&mut self, before: usize, after: usize) {
        self.charged = self.charged + after - before;
    }

    /// Notes that something was mapped that may tear apart what was charged before, for which room was
    /// made.
    pub(crate) fn charge(&mut self, more: usize) {
        self.charged += more;
    }

    /// Notes that writes tear nothing apart from now on: the host copies pages where they are.
    pub(crate) fn settle(&mut self) {
        self.headroom = 0;
    }

    /// Notes that the whole table changed to one that is charged `charge`, for which room was made.
    /// Most of what that leaves over goes back.
    pub(crate) fn replaced(&mut self, charge: usize) {
        self.charged = charge;
        self.return_down_to(charge + self.headroom + STEP);
    }

    /// Whether the charge is that of `table`, covers its mappings, and was reserved.
    #[cfg(test)]
    pub(crate) fn check(&self, table: &Table) -> Result<(), String> {
        let count = self.count_of(table);
        let charge = if self.headroom == 0 { self.charged } else { self.charge_of(table) };
        let right = charge == self.charged && count <= charge && charge <= self.reserved;
        let Self { charged, reserved, headroom, .. } = self;
        right.then_some(()).ok_or(format!(
            "{count} mappings, worth {charge}: {charged} charged, {reserved} reserved, {headroom} of \
             them headroom"
        ))
    }

    /// What the window is charged.
    pub(crate) fn charged(&self) -> usize {
        self.charged
    }

    /// What the window may be charged without asking.
    pub(crate) fn reserved(&self) -> usize {
        self.reserved
    }
}

impl<B: Backing> Drop for Mappings<B> {
    fn drop(&mut self) {
        self.backing.return_mappings(self.reserved);
    }
}
