//! Forks and snapshots: the two ways to share a map.
//!
//! Who calls must keep every writer of the parent away (vCPUs parked, the CPU side of devices at
//! rest) from before the call until it returns: a copy of a pinned page that is taken while
//! somebody writes would be a state that never existed. The *device* may go on: the target of a
//! device write may be torn in the copy, and is sound only because the child asks for it again.

use std::sync::Arc;

use super::reserve::Reserve;
use super::{AddressSpace, MAP, State};
use crate::backing::Backing;
use crate::count::Holder;
use crate::error::SpaceError;
use crate::gfn::{Gfn, Run};
use crate::image::Image;
use crate::layer::Layer;
use crate::rules::OnFork;
use crate::table::{Entry, Mapped, Table};

#[cfg(test)]
mod tests;

/// What a fork will do, decided from values before anything is changed.
struct Plan {
    /// The other side's map; empty where it gets a copy.
    shared: Table,
    /// Pages that are copied for the other side. The parent's entry stays as it is.
    copies: Vec<Gfn>,
    /// The parent's map afterwards.
    after: Table,
    /// The parent's runs that become write-protected.
    protect: Vec<Protect>,
}

/// A run that one call protects.
struct Protect {
    run: Run,
    /// What of it was writable before. The rest was protected already.
    writable: Vec<Run>,
}

/// Pages that are protected already may stand between two runs that one call protects, so many at
/// most: a call costs about as much as protecting so many pages.
const MOST_BETWEEN: u32 = 16;

/// The runs of `table` to be protected, in few calls. None covers a page that stays writable, or
/// one that is not mapped.
fn in_few_calls(table: &Table, after: &Table) -> Vec<Protect> {
    /// What happens to a page.
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Protect,
        ProtectedAlready,
    }
    let writable = |entry: Entry| match entry {
        Entry::Mapped(mapped) => Some(mapped.writable),
        Entry::Empty | Entry::Swapped { .. } => None,
    };
    let runs =
        table.runs(table.all(), |gfn, entry| match (writable(entry)?, writable(after.get(gfn))) {
            (true, Some(true)) => None,
            (true, _) => Some(Kind::Protect),
            (false, _) => Some(Kind::ProtectedAlready),
        });
    let mut calls: Vec<Protect> = Vec::new();
    // The end of the last call, and of the protected pages right behind it.
    let (mut end, mut reach) = (0, 0);
    for (run, kind) in runs {
        let (first, next) = (run.first.0, run.first.0 + run.pages);
        match (kind, calls.last_mut()) {
            (Kind::ProtectedAlready, _) if first == end => reach = next,
            (Kind::ProtectedAlready, _) => {}
            (Kind::Protect, Some(call)) if first == reach && first - end <= MOST_BETWEEN => {
                call.run.pages = next - call.run.first.0;
                call.writable.push(run);
                (end, reach) = (next, next);
            }
            (Kind::Protect, _) => {
                calls.push(Protect { run, writable: vec![run] });
                (end, reach) = (next, next);
            }
        }
    }
    calls
}

impl<B: Backing> AddressSpace<B> {
    /// A child that shares this space's frames, and sees the bytes of this moment.
    ///
    /// # Errors
    /// [`SpaceError::Busy`] or [`SpaceError::Wait`] when the rule set refuses because of a pinned
    /// page, [`SpaceError::Saturated`], [`SpaceError::NoMappings`] or [`SpaceError::Backing`] when
    /// there is no room. The parent is as before then.
    pub fn fork(&self) -> Result<Arc<Self>, SpaceError> {
        let _cut = self.family.cut.read();
        let child = match self.family.backing().host_cow() {
            Some(cow) => self.freeze(cow, |image| Self::upon(image, cow))?.1,
            None => self.share(&mut self.state.write(), |state, plan| {
                let child = Self::sharing(&self.family, plan.shared.clone())?;
                child.copy_early(state, &plan.copies)?;
                child.show_all()?;
                Ok(child)
            })?,
        };
        self.family.enrol_space(&child);
        Ok(child)
    }

    /// An image of this space's memory, as it is at this moment.
    ///
    /// # Errors
    /// As [`fork`](Self::fork).
    pub fn snapshot(&self) -> Result<Arc<Image<B>>, SpaceError> {
        let _cut = self.family.cut.read();
        if let Some(cow) = self.family.backing().host_cow() {
            return Ok(self.freeze(cow, |_| Ok(()))?.0);
        }
        let image = self.share(&mut self.state.write(), |state, plan| {
            let image = Image::sharing(&self.family, None, plan.shared.clone())?;
            for &gfn in &plan.copies {
                if let Some(page) = self.mapped(state, gfn) {
                    image.copy_in(&page.layer, gfn)?;
                }
            }
            Ok(image)
        })?;
        self.family.enrol_image(&image);
        Ok(image)
    }

    /// Asks the rules about every page: rule (c).
    fn plan(&self, state: &State<B>) -> Result<Plan, SpaceError> {
        let rules = self.family.rules();
        let table = &state.held.table;
        let copies = self.pages_to_copy(table)?;
        let mut after = table.map(|entry| match entry {
            Entry::Mapped(Mapped { layer, writable, private }) => {
                let (writable, private) = rules.parent_after_share(writable, private);
                Entry::Mapped(Mapped { layer, writable, private })
            }
            Entry::Swapped { slot, private } => {
                Entry::Swapped { slot, private: rules.parent_after_share(false, private).1 }
            }
            Entry::Empty => Entry::Empty,
        });
        let mut shared = after.map(|entry| match entry {
            Entry::Mapped(Mapped { layer, .. }) => {
                Entry::Mapped(Mapped { layer, writable: false, private: false })
            }
            Entry::Swapped { slot, .. } => Entry::Swapped { slot, private: false },
            Entry::Empty => Entry::Empty,
        });
        for &gfn in &copies {
            after.set(gfn, table.get(gfn));
            shared.set(gfn, Entry::Empty);
        }
        let protect = in_few_calls(table, &after);
        Ok(Plan { shared, copies, after, protect })
    }

    fn pages_to_copy(&self, table: &Table) -> Result<Vec<Gfn>, SpaceError> {
        let rules = self.family.rules();
        let pool = self.family.pool();
        let mut copies = Vec::new();
        for (gfn, entry) in table.iter() {
            let Entry::Mapped(entry) = entry else { continue };
            let layer = Arc::clone(pool.layer(entry.layer));
            let page = super::Page { gfn, entry, layer, based: false };
            let facts = page.facts(&self.family);
            match rules.on_fork(facts) {
                OnFork::Share => {}
                OnFork::Copy => copies.push(gfn),
                OnFork::Busy => return Err(SpaceError::Busy { gfn, tally: facts.tally }),
                OnFork::Wait => return Err(SpaceError::Wait { gfn }),
            }
        }
        Ok(copies)
    }

    /// Shares the map as planned: `make` makes the other side, and then the parent's is changed.
    /// Slots and mappings for what the parent will write after the cut are set aside first.
    fn share<T>(
        &self,
        state: &mut State<B>,
        make: impl FnOnce(&State<B>, &Plan) -> Result<T, SpaceError>,
    ) -> Result<T, SpaceError> {
        let plan = self.plan(state)?;
        let charge = state.mappings.charge_of(&plan.after);
        let more = charge.saturating_sub(state.mappings.charged());
        self.with_room(state, more, |state| {
            let (owned, block_pages) = (&state.reserve.owned, state.reserve.block_pages);
            let reserve = Reserve::plan(&self.family, owned, &plan.after, block_pages)?;
            let other = make(state, &plan)?;
            self.protect_all(&plan.protect)?;
            state.held.table = plan.after;
            state.reserve = reserve;
            state.mappings.replaced(charge);
            self.family.counters.early_copies.add(plan.copies.len() as u64);
            Ok(other)
        })
    }

    /// Fills the empty entries of a child under construction with copies of its own, writable and
    /// private.
    fn copy_early(&self, parent: &State<B>, copies: &[Gfn]) -> Result<(), SpaceError> {
        let mut state = self.state.write();
        for &gfn in copies {
            let Entry::Mapped(source) = parent.held.table.get(gfn) else { continue };
            let source = self.family.layer(source.layer);
            let target = state.reserve.layer_for(gfn).clone();
            target.take(gfn, MAP);
            let copied = self.family.backing().copy(source.store(), target.store(), Run::one(gfn));
            if let Err(error) = copied {
                self.family.let_go(&target, Run::one(gfn), MAP);
                return Err(error.into());
            }
            state.set(gfn, Entry::Mapped(Mapped::own(target.id())));
        }
        Ok(())
    }

    /// Protects what is shared now. When that fails, what was writable is writable again.
    fn protect_all(&self, calls: &[Protect]) -> Result<(), SpaceError> {
        let backing = self.family.backing();
        for (done, call) in calls.iter().enumerate() {
            if let Err(error) = backing.protect(&self.window, call.run) {
                for run in calls[..done].iter().flat_map(|call| &call.writable) {
                    backing.unprotect(&self.window, *run);
                }
                return Err(error.into());
            }
        }
        Ok(())
    }
}

impl<B: Backing> Image<B> {
    /// Fills an empty entry of an image under construction with a copy.
    fn copy_in(&self, source: &Layer<B>, gfn: Gfn) -> Result<(), SpaceError> {
        let family = self.family();
        let target = family.claim_anywhere(gfn, Holder::Image)?;
        if let Err(error) = family.backing().copy(source.store(), target.store(), Run::one(gfn)) {
            family.let_go(&target, Run::one(gfn), Holder::Image);
            return Err(error.into());
        }
        self.fill(Run::one(gfn), target.id());
        Ok(())
    }
}
