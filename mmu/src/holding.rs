//! A map that holds what it names: one reference per frame, given back on drop.
//!
//! Or a *base* does: an image that names all that the map says, but for the frames that the map may
//! write. Then it takes one reference for all of them.

use std::sync::Arc;

use crate::backing::Backing;
use crate::count::Holder;
use crate::error::SpaceError;
use crate::family::Family;
use crate::gfn::{Gfn, Run};
use crate::image::Image;
use crate::table::{Entry, LayerId, Mapped, SlotId, Table};

/// A table and the references of its entries. Dropping it gives them back, which is also how a
/// half-made child is undone.
pub(crate) struct Holding<B: Backing> {
    family: Arc<Family<B>>,
    holder: Holder,
    base: Option<Arc<Image<B>>>,
    pub(crate) table: Table,
}

impl<B: Backing> Holding<B> {
    /// A map whose references were taken by the caller.
    pub(crate) fn adopt(family: Arc<Family<B>>, holder: Holder, table: Table) -> Self {
        Self { family, holder, base: None, table }
    }

    /// The map of `base`, held by it.
    pub(crate) fn upon(base: &Arc<Image<B>>, holder: Holder) -> Self {
        let (family, table) = (Arc::clone(base.family()), base.map());
        Self { family, holder, base: Some(Arc::clone(base)), table }
    }

    /// Holds `table` by `base` from now on. The references of what is no longer writable, or was held
    /// one by one, are the caller's to let go, and so is the former base.
    #[must_use]
    pub(crate) fn rebase(&mut self, base: Arc<Image<B>>, table: Table) -> Option<Arc<Image<B>>> {
        self.table = table;
        self.base.replace(base)
    }

    /// The image that holds what this map may not write, if one does.
    pub(crate) fn base(&self) -> Option<&Arc<Image<B>>> {
        self.base.as_ref()
    }

    /// Whether a reference of this map stands in the count of the entry's frame.
    pub(crate) fn counts(&self, entry: Mapped) -> bool {
        self.base.is_none() || entry.writable
    }

    /// Where all entries are whose references are this map's own.
    pub(crate) fn own_parts(&self) -> Vec<Run> {
        match &self.base {
            None => vec![self.table.all()],
            Some(base) => self.table.apart_from(&base.map()),
        }
    }

    /// Takes a reference on everything that `table` names.
    pub(crate) fn acquire(
        family: &Arc<Family<B>>,
        holder: Holder,
        table: Table,
    ) -> Result<Self, SpaceError> {
        let refused = take_references(family, holder, &table);
        if let Some(gfn) = refused {
            release(family, holder, &table, Run::new(0, gfn.0), |_| true);
            return Err(SpaceError::Saturated { gfn });
        }
        Ok(Self::adopt(Arc::clone(family), holder, table))
    }

    pub(crate) fn family(&self) -> &Arc<Family<B>> {
        &self.family
    }
}

impl<B: Backing> Drop for Holding<B> {
    fn drop(&mut self) {
        for part in self.own_parts() {
            release(&self.family, self.holder, &self.table, part, |entry| self.counts(entry));
        }
    }
}

/// What neighbours in a table have in common.
#[derive(Clone, Copy, PartialEq)]
enum Holds {
    Frames(LayerId),
    Slot(SlotId),
}

/// The first page whose frame has no room for another holder, if any.
fn take_references<B: Backing>(family: &Family<B>, holder: Holder, table: &Table) -> Option<Gfn> {
    let runs = table.runs(table.all(), |_, entry| match entry {
        Entry::Empty => None,
        Entry::Mapped(Mapped { layer, .. }) => Some(Holds::Frames(layer)),
        Entry::Swapped { slot, .. } => Some(Holds::Slot(slot)),
    });
    runs.into_iter().find_map(|(run, holds)| match holds {
        Holds::Frames(layer) => family.layer(layer).add_run(run, holder).err(),
        Holds::Slot(slot) => {
            family.swap.lock().slot(slot).sharers += 1;
            None
        }
    })
}

/// Gives back the references of those entries in `run` that have one.
fn release<B: Backing>(
    family: &Family<B>,
    holder: Holder,
    table: &Table,
    run: Run,
    has_one: impl Fn(Mapped) -> bool,
) {
    let mapped = table.runs(run, |_, entry| match entry {
        Entry::Mapped(mapped) => has_one(mapped).then_some(mapped.layer),
        Entry::Empty | Entry::Swapped { .. } => None,
    });
    for (run, layer) in mapped {
        family.let_go(&family.layer(layer), run, holder);
    }
    for (_, entry) in table.entries(run) {
        if let Entry::Swapped { slot, .. } = entry {
            leave_swap(family, slot);
        }
    }
}

/// Takes one sharer from a slot of the swap. With the last, its place and its reference on the
/// frame go.
pub(crate) fn leave_swap<B: Backing>(family: &Family<B>, slot: SlotId) {
    // The reference goes under the lock of the swap, so that a frame has one while it has a slot, and
    // none when it has not.
    let mut swap = family.swap.lock();
    if let Some(slot) = swap.leave(slot) {
        if let Some(place) = slot.place {
            family.backing().forget(place);
        }
        family.let_go(&family.layer(slot.layer), Run::one(slot.gfn), Holder::Swap);
    }
}
