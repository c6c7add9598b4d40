//! Where the next copies of a space go.
//!
//! A write fault must not fail, so the slot for every copy that one could need is set aside
//! beforehand: **a protected or evicted page has a free slot in a layer that its space owns**.
//! Guest memory is cut into aligned blocks, and all such pages of one block have theirs in the same
//! layer, so that a whole block can be copied into a single run.

use std::sync::Arc;

use crate::backing::{Backing, BackingError};
use crate::family::Family;
use crate::gfn::{Gfn, Run};
use crate::layer::Layer;
use crate::table::{Entry, Mapped, Table};

#[cfg(test)]
mod tests;

/// A layer that one space alone allocates from. It goes back to the family on drop.
pub(crate) struct Owned<B: Backing> {
    family: Arc<Family<B>>,
    pub(crate) layer: Arc<Layer<B>>,
}

impl<B: Backing> Owned<B> {
    pub(crate) fn take(family: &Arc<Family<B>>, needed: &[Run]) -> Result<Arc<Self>, BackingError> {
        Ok(Self::of(family, family.take_layer(needed)?))
    }

    /// The ownership of a layer that the family has marked as taken.
    pub(crate) fn of(family: &Arc<Family<B>>, layer: Arc<Layer<B>>) -> Arc<Self> {
        Arc::new(Self { family: Arc::clone(family), layer })
    }
}

impl<B: Backing> Drop for Owned<B> {
    fn drop(&mut self) {
        self.family.give_back([Arc::clone(&self.layer)]);
    }
}

/// The layers that a space owns, and which of them each block copies to.
pub(crate) struct Reserve<B: Backing> {
    pub(crate) owned: Vec<Arc<Owned<B>>>,
    pub(crate) block_pages: u32,
    /// For each block, the index in `owned`.
    target: Vec<u8>,
}

impl<B: Backing> Clone for Reserve<B> {
    fn clone(&self) -> Self {
        Self {
            owned: self.owned.clone(),
            block_pages: self.block_pages,
            target: self.target.clone(),
        }
    }
}

/// Whether a write to the page may need a slot for a copy.
fn may_need_copy(entry: Entry) -> bool {
    match entry {
        Entry::Mapped(Mapped { writable, .. }) => !writable,
        Entry::Swapped { .. } | Entry::Empty => true,
    }
}

fn needed_runs(table: &Table, block: Run) -> Vec<Run> {
    let runs = table.runs(block, |_, entry| may_need_copy(entry).then_some(()));
    runs.into_iter().map(|(run, ())| run).collect()
}

impl<B: Backing> Reserve<B> {
    /// The reserve of a space all of whose frames are in one layer, or will be.
    pub(crate) fn of_one(owned: Arc<Owned<B>>, pages: u32, block_pages: u32) -> Self {
        let target = vec![0; pages.div_ceil(block_pages) as usize];
        Self { owned: vec![owned], block_pages, target }
    }

    /// Sets slots aside for every page of `table` that may need one: in `candidates` where they
    /// have room, else in layers that nobody uses any more, else in a new one. Those that no block
    /// uses are not kept.
    pub(crate) fn plan(
        family: &Arc<Family<B>>,
        candidates: &[Arc<Owned<B>>],
        table: &Table,
        block_pages: u32,
    ) -> Result<Self, BackingError> {
        let needed: Vec<_> =
            blocks(table.pages(), block_pages).map(|block| needed_runs(table, block)).collect();
        let mut chosen: Vec<Option<usize>> = vec![None; needed.len()];
        let mut layers: Vec<Arc<Owned<B>>> = Vec::new();
        let mut unmet: Vec<usize> = (0..needed.len()).collect();
        let mut use_layer = |owned: Arc<Owned<B>>, unmet: &mut Vec<usize>| {
            unmet.retain(|&block| {
                let fits = owned.layer.fits(&needed[block]);
                if fits {
                    chosen[block] = Some(layers.len());
                }
                !fits
            });
            layers.push(owned);
        };
        for owned in candidates.iter().take(MOST_OWNED) {
            use_layer(Arc::clone(owned), &mut unmet);
        }
        for _ in 0..MOST_ADOPTED {
            let runs: Vec<&[Run]> = unmet.iter().map(|&block| &*needed[block]).collect();
            let used = if runs.is_empty() { None } else { family.take_used_layer(&runs) };
            let Some(layer) = used else { break };
            use_layer(Owned::of(family, layer), &mut unmet);
        }
        if !unmet.is_empty() {
            let runs: Vec<_> = unmet.iter().flat_map(|&block| needed[block].clone()).collect();
            use_layer(Owned::take(family, &runs)?, &mut unmet);
        }
        Ok(Self::keeping(&layers, chosen, block_pages))
    }

    /// The reserve in which each block uses the layer that was chosen for it.
    fn keeping(layers: &[Arc<Owned<B>>], chosen: Vec<Option<usize>>, block_pages: u32) -> Self {
        let mut plan = Self { owned: Vec::new(), block_pages, target: Vec::new() };
        let mut kept: Vec<Option<u8>> = vec![None; layers.len()];
        for index in chosen {
            let index = index.expect("every block found a layer");
            let target = *kept[index].get_or_insert_with(|| {
                plan.owned.push(Arc::clone(&layers[index]));
                u8::try_from(plan.owned.len() - 1).unwrap_or(u8::MAX)
            });
            plan.target.push(target);
        }
        plan
    }

    /// The reserve when `gfn` joins the pages that may need a copy, as in a table `after`.
    pub(crate) fn with_page(
        &self,
        family: &Arc<Family<B>>,
        after: &Table,
        gfn: Gfn,
    ) -> Result<Self, BackingError> {
        if self.layer_for(gfn).is_free(gfn) {
            return Ok(self.clone());
        }
        Self::plan(family, &self.owned, after, self.block_pages)
    }

    /// The aligned block around `gfn`.
    pub(crate) fn block(&self, gfn: Gfn, pages: u32) -> Run {
        let first = gfn.0 - gfn.0 % self.block_pages;
        Run::new(first, pages.min(first + self.block_pages))
    }

    /// The layer into which a copy of `gfn` goes.
    pub(crate) fn layer_for(&self, gfn: Gfn) -> &Arc<Layer<B>> {
        let block = (gfn.0 / self.block_pages) as usize;
        &self.owned[usize::from(self.target[block])].layer
    }
}

/// More candidates than this cost more to search than a new layer.
const MOST_OWNED: usize = 8;

/// Layers that nobody uses any more, taken by one plan at most: they tear runs apart.
const MOST_ADOPTED: usize = 4;

fn blocks(pages: u32, block_pages: u32) -> impl Iterator<Item = Run> {
    (0..pages)
        .step_by(block_pages as usize)
        .map(move |first| Run::new(first, pages.min(first + block_pages)))
}
