//! Eviction: a frame leaves for the swap, in all maps that name it.

use parking_lot::RwLockWriteGuard;

use super::gate::Alone;
use super::host_copies::Cow;
use super::{AddressSpace, MAP, Page, State};
use crate::backing::{Backing, SwapPlace};
use crate::count::Holder;
use crate::error::SpaceError;
use crate::family::{Family, Member};
use crate::gfn::{Gfn, Run};
use crate::holding::{Holding, leave_swap};
use crate::layer::Layer;
use crate::rules::Verdict;
use crate::swap::Slot;
use crate::table::{Entry, LayerId, Mapped, SlotId, Table};

#[cfg(test)]
mod tests;

/// A space that maps the frame, locked.
struct Sharer<'a, B: Backing> {
    space: &'a AddressSpace<B>,
    state: Alone<'a, State<B>>,
    /// The slots set aside for its next copy of the page.
    reserve: Option<super::Reserve<B>>,
    /// What the space had of the budget of mappings before.
    reserved: usize,
}

/// All who name one frame, locked: spaces by ascending id, then images.
struct Sharers<'a, B: Backing> {
    spaces: Vec<Sharer<'a, B>>,
    images: Vec<RwLockWriteGuard<'a, Holding<B>>>,
    /// Spaces from which the frame was evicted before: locked, so that they do not bring it back
    /// while it is written out.
    onlookers: Vec<Alone<'a, State<B>>>,
}

fn names(table: &Table, gfn: Gfn, layer: LayerId) -> Option<Mapped> {
    match table.get(gfn) {
        Entry::Mapped(mapped) if mapped.layer == layer => Some(mapped),
        _ => None,
    }
}

impl<'a, B: Backing> Sharers<'a, B> {
    fn lock(members: &'a [Member<B>], gfn: Gfn, layer: LayerId) -> Self {
        let mut sharers = Self { spaces: Vec::new(), images: Vec::new(), onlookers: Vec::new() };
        for member in members {
            if let Member::Space(space) = member {
                let state = space.state.write();
                if names(&state.held.table, gfn, layer).is_some() {
                    let reserved = state.mappings.reserved();
                    sharers.spaces.push(Sharer { space, state, reserve: None, reserved });
                } else if let Entry::Swapped { slot, .. } = state.held.table.get(gfn)
                    && space.family.swap.lock().slot(slot).layer == layer
                {
                    sharers.onlookers.push(state);
                }
            }
        }
        for member in members {
            if let Member::Image(image) = member {
                let held = image.lock();
                if names(&held.table, gfn, layer).is_some() {
                    sharers.images.push(held);
                }
            }
        }
        sharers
    }

    fn count(&self) -> u32 {
        u32::try_from(self.spaces.len() + self.images.len()).unwrap_or(u32::MAX)
    }

    /// Everything that may fail in the sharers' own spaces. What succeeded before a failure is
    /// undone.
    fn prepare(&mut self, gfn: Gfn) -> Result<(), SpaceError> {
        for index in 0..self.spaces.len() {
            if let Err(error) = self.spaces[index].prepare(gfn) {
                self.spaces[..index].iter_mut().for_each(|sharer| sharer.undo(gfn));
                return Err(error);
            }
        }
        Ok(())
    }
}

impl<B: Backing> Sharer<'_, B> {
    fn prepare(&mut self, gfn: Gfn) -> Result<(), SpaceError> {
        let (space, reserve) = (self.space, &mut self.reserve);
        space.with_room(&mut self.state, 2, |state| {
            let mut after = state.held.table.clone();
            after.set(gfn, Entry::Empty);
            *reserve = Some(state.reserve.with_page(&space.family, &after, gfn)?);
            Ok(space.family.backing().make_absent(&space.window, Run::one(gfn))?)
        })
    }

    fn undo(&mut self, gfn: Gfn) {
        let backing = self.space.family.backing();
        let run = Run::one(gfn);
        backing.make_present(&self.space.window, run);
        let entry = self.state.held.table.get(gfn);
        if matches!(entry, Entry::Mapped(Mapped { writable: true, .. })) {
            backing.unprotect(&self.space.window, run);
        }
        self.state.mappings.return_down_to(self.reserved);
    }

    fn commit(&mut self, gfn: Gfn, slot: SlotId) {
        if let Some(reserve) = self.reserve.take() {
            self.state.reserve = reserve;
        }
        if let Some(entry) = swapped(self.state.held.table.get(gfn), slot) {
            self.state.set_shown_anew(Run::one(gfn), entry);
        }
    }
}

fn swapped(entry: Entry, slot: SlotId) -> Option<Entry> {
    match entry {
        Entry::Mapped(Mapped { private, .. }) => Some(Entry::Swapped { slot, private }),
        Entry::Empty | Entry::Swapped { .. } => None,
    }
}

impl<B: Backing> AddressSpace<B> {
    /// Writes the frame of a page out, for all who map or name it: rule (d). Each finds it again
    /// at its next access. Does nothing to a page that is evicted already.
    ///
    /// A frame that is still held otherwise, where the rule set allows that, stays in memory and
    /// comes back as it is. Where the host copies pages, it evicts them, too, if it has a swap: it is
    /// asked to, unless the rules are against it.
    ///
    /// # Errors
    /// [`SpaceError::Busy`] or [`SpaceError::Wait`] when the rule set refuses because the frame is
    /// pinned; [`SpaceError::Backing`] when the swap cannot take it. Everything is as before then.
    pub fn evict(&self, gfn: Gfn) -> Result<(), SpaceError> {
        self.check(gfn)?;
        if let Some(cow) = self.family.backing().host_cow() {
            return self.look(Run::one(gfn), |state| self.evict_by_host(state, cow, gfn));
        }
        // No fork may add a sharer meanwhile.
        let _cut = self.family.cut.write();
        let members = self.family.members();
        loop {
            let Some(page) = self.mapped(&self.state.read(), gfn) else { return Ok(()) };
            let mut sharers = Sharers::lock(&members, gfn, page.layer.id());
            // Between the look and the locks a write fault may have moved this space elsewhere.
            let own = sharers.spaces.iter().find(|sharer| sharer.space.id == self.id);
            let Some(page) = own.and_then(|sharer| self.mapped(&sharer.state, gfn)) else {
                continue;
            };
            return self.evict_from(&mut sharers, &page);
        }
    }

    fn evict_by_host(
        &self,
        state: &State<B>,
        cow: &Cow<'_, B>,
        gfn: Gfn,
    ) -> Result<(), SpaceError> {
        let Some(page) = self.mapped(state, gfn) else { return Ok(()) };
        self.may_evict(&page)?;
        cow.page_out(&self.window, page.run());
        self.family.counters.evicted.add(1);
        Ok(())
    }

    /// Asks the rules: rule (d).
    fn may_evict(&self, page: &Page<B>) -> Result<(), SpaceError> {
        let (gfn, facts) = (page.gfn, page.facts(&self.family));
        match self.family.rules().on_evict(facts) {
            Verdict::Busy => Err(SpaceError::Busy { gfn, tally: facts.tally }),
            Verdict::Wait => Err(SpaceError::Wait { gfn }),
            Verdict::Allow => Ok(()),
        }
    }

    /// Whether a page is evicted although its frame is still in memory, because somebody holds it.
    ///
    /// # Errors
    /// [`SpaceError::OutOfRange`].
    pub fn in_swap_cache(&self, gfn: Gfn) -> Result<bool, SpaceError> {
        self.check(gfn)?;
        let state = self.state.read();
        let Entry::Swapped { slot, .. } = state.held.table.get(gfn) else { return Ok(false) };
        Ok(self.family.swap.lock().slot(slot).place.is_none())
    }

    fn evict_from(&self, sharers: &mut Sharers<'_, B>, page: &Page<B>) -> Result<(), SpaceError> {
        let gfn = page.gfn;
        self.may_evict(page)?;
        let (family, layer) = (&self.family, &page.layer);
        let id = enter(family, layer, gfn, sharers.count())?;
        let written = sharers.prepare(gfn).and_then(|()| {
            let written = write_out(family, layer, gfn, sharers.count());
            if written.is_err() {
                sharers.spaces.iter_mut().for_each(|sharer| sharer.undo(gfn));
            }
            written
        });
        match written {
            Ok(place) => commit(family, sharers, layer, (gfn, id), place),
            Err(error) => {
                (0..sharers.count()).for_each(|_| leave_swap(family, id));
                return Err(error);
            }
        }
        family.counters.evicted.add(1);
        Ok(())
    }
}

/// Enters `sharers` into the frame's slot of the swap, a new one unless others share it already.
///
/// This comes first: from now on the slot and its reference stay, whoever else leaves it (a guest that
/// is dropped takes no lock that this eviction holds).
fn enter<B: Backing>(
    family: &Family<B>,
    layer: &Layer<B>,
    gfn: Gfn,
    sharers: u32,
) -> Result<SlotId, SpaceError> {
    let mut swap = family.swap.lock();
    let id = match swap.of_frame(layer.id(), gfn) {
        Some(known) => known,
        None => {
            layer.add(gfn, Holder::Swap).map_err(SpaceError::saturated(gfn))?;
            swap.add(Slot { layer: layer.id(), gfn, sharers: 0, place: None })
        }
    };
    swap.slot(id).sharers += sharers;
    Ok(id)
}

/// Writes the frame to the swap, unless somebody beside its `sharers` and the swap still holds it.
fn write_out<B: Backing>(
    family: &Family<B>,
    layer: &Layer<B>,
    gfn: Gfn,
    sharers: u32,
) -> Result<Option<SwapPlace>, SpaceError> {
    if layer.tally(gfn).refs > sharers + 1 {
        return Ok(None);
    }
    Ok(Some(family.backing().write_out(layer.store(), gfn)?))
}

/// Turns the sharers' entries into entries of the swap. Nothing here can fail.
fn commit<B: Backing>(
    family: &Family<B>,
    sharers: &mut Sharers<'_, B>,
    layer: &Layer<B>,
    (gfn, id): (Gfn, SlotId),
    place: Option<SwapPlace>,
) {
    family.swap.lock().slot(id).place = place;
    if place.is_some() {
        family.backing().punch(layer.store(), Run::one(gfn));
    }
    for sharer in &mut sharers.spaces {
        sharer.commit(gfn, id);
        layer.let_go(Run::one(gfn), MAP);
    }
    for image in &mut sharers.images {
        if let Some(entry) = swapped(image.table.get(gfn), id) {
            image.table.set(gfn, entry);
        }
        layer.let_go(Run::one(gfn), Holder::Image);
    }
}
