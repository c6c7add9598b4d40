//! A map that holds what it names: one reference per frame, given back on drop.
//!
//! Or a *base* does: an image that names all that the map says, but for the frames that the map may
//! write. Then it takes one reference for all of them. An image, which may write nothing, has a base for a while after
//! its birth: it holds what it does not have in common with that one by one, and then the rest, too.

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

    /// Whether a reference of this map stands in the count of the frame of an entry in one of its
    /// [own parts](Self::own_parts).
    pub(crate) fn counts(&self, entry: Mapped) -> bool {
        self.base.is_none() || entry.writable || self.holder == Holder::Image
    }

    /// Where all entries are whose references are this map's own.
    pub(crate) fn own_parts(&self) -> Vec<Run> {
        match &self.base {
            None => vec![self.table.all()],
            Some(base) => self.table.apart_from(&base.map()),
        }
    }

    /// Every frame in whose count this map stands.
    pub(crate) fn each_held(&self, mut see: impl FnMut(LayerId, Gfn)) {
        for (gfn, entry) in self.own_parts().into_iter().flat_map(|run| self.table.entries(run)) {
            if let Entry::Mapped(mapped) = entry
                && self.counts(mapped)
            {
                see(mapped.layer, gfn);
            }
        }
    }

    /// Takes a reference on everything that `table` names.
    pub(crate) fn acquire(
        family: &Arc<Family<B>>,
        holder: Holder,
        table: Table,
    ) -> Result<Self, SpaceError> {
        take_references(family, holder, &table, &[table.all()])?;
        Ok(Self::adopt(Arc::clone(family), holder, table))
    }

    /// The map of an image, held by `base` where the two are the same memory.
    pub(crate) fn beside(base: Arc<Image<B>>, table: Table) -> Result<Self, SpaceError> {
        let family = Arc::clone(base.family());
        take_references(&family, Holder::Image, &table, &table.apart_from(&base.map()))?;
        Ok(Self { family, holder: Holder::Image, base: Some(base), table })
    }

    /// For an image's map that has nobody else to change it: takes the references that its base has taken for it.
    /// [`forget_base`](Self::forget_base) is to follow.
    pub(crate) fn take_over(base: &Image<B>, table: &Table) -> Result<(), SpaceError> {
        take_references(base.family(), Holder::Image, table, &table.shared_with(&base.map()))
    }

    /// Does without the base, whose references were taken over. The caller keeps it until it has let go of its locks.
    pub(crate) fn forget_base(&mut self) {
        self.base = None;
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

/// Takes a reference on everything that `table` names in `parts`, or on nothing: when a frame has no room for another
/// holder.
fn take_references<B: Backing>(
    family: &Family<B>,
    holder: Holder,
    table: &Table,
    parts: &[Run],
) -> Result<(), SpaceError> {
    for (number, &part) in parts.iter().enumerate() {
        if let Some(gfn) = take_until_refused(family, holder, table, part) {
            let begun = Run::new(part.first.0, gfn.0);
            for taken in parts[..number].iter().copied().chain([begun]) {
                release(family, holder, table, taken, |_| true);
            }
            return Err(SpaceError::Saturated { gfn });
        }
    }
    Ok(())
}

/// The first page whose frame has no room for another holder, if any.
fn take_until_refused<B: Backing>(
    family: &Family<B>,
    holder: Holder,
    table: &Table,
    part: Run,
) -> Option<Gfn> {
    let runs = table.runs(part, |_, entry| match entry {
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
