//! How many host mappings a window takes, and the budget that they come from.
//!
//! The host limits the mappings of a process (`vm.max_map_count`, 65,530 by default), neighbouring
//! frames of one layer share one, and random first writes tear runs apart: 8,214 mappings were
//! counted at half of 64 MiB written. So a space reserves, when it is born or forked, what it has
//! plus two for each aligned block (*headroom*). A write fault takes two more from the budget while
//! there are some; when there are none, the whole block of shared frames is copied into one run,
//! which adds at most the two mappings of its ends, once per block and cut. Faults never fail.

use std::sync::Arc;

use crate::backing::Backing;
use crate::error::SpaceError;
use crate::gfn::{Gfn, Run};
use crate::table::{Entry, Table};

#[cfg(test)]
mod tests;

/// Blocks per guest, the finest that the budget allows first.
const BLOCKS: [u32; 4] = [256, 64, 16, 4];

/// Mappings taken from the budget at a time.
const STEP: usize = 64;

/// The mappings of one window.
pub(crate) struct Mappings<B: Backing> {
    backing: Arc<B>,
    used: usize,
    reserved: usize,
    pub(crate) block_pages: u32,
    headroom: usize,
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

/// How many mappings a window over `table` takes.
fn count(table: &Table) -> usize {
    let mut last = None;
    let mut cuts = 1;
    for (_, entry) in table.iter() {
        cuts += usize::from(last.is_some_and(|last| parted(last, entry)));
        last = Some(entry);
    }
    cuts
}

/// Ends of mappings at the edges of and within `run`.
pub(crate) fn cuts(table: &Table, run: Run) -> usize {
    let end = (run.first.0 + run.pages).min(table.pages() - 1);
    let first = run.first.0.max(1);
    (first..=end)
        .filter(|&gfn| parted(table.get(Gfn(gfn - 1)), table.get(Gfn(gfn))))
        .count()
}

fn block_pages(pages: u32, blocks: u32) -> u32 {
    pages.div_ceil(blocks).next_power_of_two()
}

impl<B: Backing> Mappings<B> {
    /// Reserves what a window over `table` takes, and headroom.
    pub(crate) fn reserve(backing: &Arc<B>, table: &Table) -> Result<Self, SpaceError> {
        let used = count(table);
        let mut least = usize::MAX;
        for blocks in BLOCKS {
            let block_pages = block_pages(table.pages(), blocks);
            let headroom = 2 * table.pages().div_ceil(block_pages) as usize;
            // A finer reservation is for times of plenty: it leaves the greater part to others.
            let modest = blocks == BLOCKS[BLOCKS.len() - 1]
                || headroom <= backing.free_mappings() / 64;
            if modest && backing.reserve_mappings(used + headroom) {
                let backing = Arc::clone(backing);
                let reserved = used + headroom;
                return Ok(Self { backing, used, reserved, block_pages, headroom });
            }
            least = used + headroom;
        }
        Err(SpaceError::NoMappings { needed: least, free: backing.free_mappings() })
    }

    /// Takes what `more` further mappings need beyond the headroom. `false` when the budget runs
    /// short.
    pub(crate) fn make_room(&mut self, more: usize) -> bool {
        let lacking = (self.used + more + self.headroom).saturating_sub(self.reserved);
        if lacking == 0 {
            return true;
        }
        let step = lacking.max(STEP);
        let got = [step, lacking].into_iter().find(|&n| self.backing.reserve_mappings(n));
        self.reserved += got.unwrap_or(0);
        got.is_some()
    }

    /// Notes that a change turned `before` ends of mappings into `after`.
    pub(crate) fn changed(&mut self, before: usize, after: usize) {
        self.used = self.used + after - before;
    }

    /// What block copies may take without asking.
    pub(crate) fn headroom(&self) -> usize {
        self.headroom
    }

    /// How many mappings the window takes.
    pub(crate) fn used(&self) -> usize {
        self.used
    }
}

impl<B: Backing> Drop for Mappings<B> {
    fn drop(&mut self) {
        self.backing.return_mappings(self.reserved);
    }
}
