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
use crate::rules::OnFork;
use crate::table::{Entry, Mapped, Table};

/// What a fork will do, decided from values before anything is changed.
struct Plan {
    /// The other side's map; empty where it gets a copy.
    shared: Table,
    /// Pages that are copied for the other side. The parent's entry stays as it is.
    copies: Vec<Gfn>,
    /// The parent's map afterwards.
    after: Table,
    /// The parent's runs that become write-protected, and were writable.
    protect: Vec<Run>,
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
        let mut state = self.state.write();
        let plan = self.plan(&state)?;
        let parent_reserve = self.plan_parent(&mut state, &plan)?;
        let child = Self::sharing(&self.family, plan.shared.clone())?;
        child.copy_early(&state, &plan.copies)?;
        child.show_all()?;
        self.commit(&mut state, plan, parent_reserve)?;
        self.family.enrol_space(&child);
        Ok(child)
    }

    /// An image of this space's memory, as it is at this moment.
    ///
    /// # Errors
    /// As [`fork`](Self::fork).
    pub fn snapshot(&self) -> Result<Arc<Image<B>>, SpaceError> {
        let _cut = self.family.cut.read();
        let mut state = self.state.write();
        let plan = self.plan(&state)?;
        let parent_reserve = self.plan_parent(&mut state, &plan)?;
        let image = Image::sharing(&self.family, plan.shared.clone())?;
        for &gfn in &plan.copies {
            if let Some(page) = self.mapped(&state, gfn) {
                image.copy_in(&page.layer, gfn)?;
            }
        }
        self.commit(&mut state, plan, parent_reserve)?;
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
        let writable = |entry| matches!(entry, Entry::Mapped(Mapped { writable: true, .. }));
        let protect = table.runs(table.all(), |gfn, entry| {
            (writable(entry) && !writable(after.get(gfn))).then_some(())
        });
        let protect = protect.into_iter().map(|(run, ())| run).collect();
        Ok(Plan { shared, copies, after, protect })
    }

    fn pages_to_copy(&self, table: &Table) -> Result<Vec<Gfn>, SpaceError> {
        let rules = self.family.rules();
        let pool = self.family.pool();
        let mut copies = Vec::new();
        for (gfn, entry) in table.iter() {
            let Entry::Mapped(entry) = entry else { continue };
            let layer = Arc::clone(pool.layer(entry.layer));
            let page = super::Page { gfn, entry, layer };
            let facts = page.facts();
            match rules.on_fork(facts) {
                OnFork::Share => {}
                OnFork::Copy => copies.push(gfn),
                OnFork::Busy => return Err(SpaceError::Busy { gfn, tally: facts.tally }),
                OnFork::Wait => return Err(SpaceError::Wait { gfn }),
            }
        }
        Ok(copies)
    }

    /// Sets slots and mappings aside for what the parent will write after the cut.
    fn plan_parent(&self, state: &mut State<B>, plan: &Plan) -> Result<Reserve<B>, SpaceError> {
        if !state.mappings.make_room(0) {
            return Err(self.no_mappings(state.mappings.headroom()));
        }
        let (owned, block_pages) = (&state.reserve.owned, state.reserve.block_pages);
        Ok(Reserve::plan(&self.family, owned, &plan.after, block_pages)?)
    }

    /// Fills the empty entries of a child under construction with copies of its own, writable and
    /// private.
    fn copy_early(&self, parent: &State<B>, copies: &[Gfn]) -> Result<(), SpaceError> {
        let mut state = self.state.write();
        for &gfn in copies {
            let Entry::Mapped(source) = parent.held.table.get(gfn) else { continue };
            let source = self.family.layer(source.layer);
            let target = state.reserve.layer_for(gfn).clone();
            let claimed = target.claim(gfn, MAP);
            debug_assert!(claimed, "{gfn}: the slot for an early copy is taken");
            let copied = self.family.backing().copy(source.store(), target.store(), Run::one(gfn));
            if let Err(error) = copied {
                target.let_go(gfn, MAP);
                return Err(error.into());
            }
            state.set(gfn, Entry::Mapped(Mapped::own(target.id())));
        }
        Ok(())
    }

    /// The parent's side: protects what is shared now, and takes over the plan.
    fn commit(
        &self,
        state: &mut State<B>,
        plan: Plan,
        reserve: Reserve<B>,
    ) -> Result<(), SpaceError> {
        let backing = self.family.backing();
        for (done, run) in plan.protect.iter().enumerate() {
            if let Err(error) = backing.protect(&self.window, *run) {
                for run in &plan.protect[..done] {
                    backing.unprotect(&self.window, *run);
                }
                return Err(error.into());
            }
        }
        state.held.table = plan.after;
        state.reserve = reserve;
        self.family.counters.early_copies.add(plan.copies.len() as u64);
        Ok(())
    }
}

impl<B: Backing> Image<B> {
    /// Fills an empty entry of an image under construction with a copy.
    fn copy_in(&self, source: &crate::layer::Layer<B>, gfn: Gfn) -> Result<(), SpaceError> {
        let family = self.family();
        let target = family.claim_anywhere(gfn, Holder::Image)?;
        if let Err(error) =
            family.backing().copy(source.store(), target.store(), Run::one(gfn))
        {
            target.let_go(gfn, Holder::Image);
            return Err(error.into());
        }
        self.fill(gfn, target.id());
        Ok(())
    }
}
