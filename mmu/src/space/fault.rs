//! Write faults, and accesses to evicted pages.

use super::{AddressSpace, MAP, Page, State, mappings};
use crate::backing::{Access, Backing, BackingError};
use crate::count::Holder;
use crate::error::SpaceError;
use crate::gfn::{Gfn, Run};
use crate::holding::leave_swap;
use crate::rules::OnWrite;
use crate::table::{Entry, Mapped};

impl<B: Backing> AddressSpace<B> {
    /// Answers an access that trapped: brings the page back if it was evicted and, for a write,
    /// makes it writable, in place or as a copy, as the rules say. Wakes whoever waits.
    ///
    /// # Errors
    /// [`SpaceError::Wait`] when the rule set lets writers wait for pins: try again when pins were
    /// let go. [`SpaceError::Backing`] when the host fails; slots and mappings were set aside
    /// beforehand, so what remains is a lack of memory or a broken swap file.
    pub fn fault(&self, gfn: Gfn, write: bool) -> Result<(), SpaceError> {
        self.check(gfn)?;
        let mut state = self.state.write();
        let before = state.held.table.get(gfn);
        self.bring_back(&mut state, gfn)?;
        if write {
            self.break_cow(&mut state, gfn)?;
        }
        if state.held.table.get(gfn) == before {
            self.show_again(before, gfn);
        }
        self.family.backing().wake(&self.window, Run::one(gfn));
        Ok(())
    }

    /// Whether a write to a page would have to wait for pins now.
    ///
    /// # Errors
    /// [`SpaceError::OutOfRange`].
    pub fn write_waits(&self, gfn: Gfn) -> Result<bool, SpaceError> {
        self.check(gfn)?;
        let page = self.mapped(&self.state.read(), gfn);
        Ok(page.is_some_and(|page| {
            !page.entry.writable && self.family.rules().on_write(page.facts()) == OnWrite::Wait
        }))
    }

    /// Answers a fault that somebody else has answered already, or that the rules have no part in
    /// (the host lacks a page that was discarded): the window shows what the map says.
    fn show_again(&self, entry: Entry, gfn: Gfn) {
        let Entry::Mapped(mapped) = entry else { return };
        let backing = self.family.backing();
        backing.make_present(&self.window, Run::one(gfn));
        if mapped.writable {
            backing.unprotect(&self.window, Run::one(gfn));
        }
    }

    /// Reads an evicted page back: protected, with the private bit that its entry had.
    ///
    /// The first of its sharers fills the frame; it is what the others find later.
    pub(super) fn bring_back(&self, state: &mut State<B>, gfn: Gfn) -> Result<(), SpaceError> {
        let Entry::Swapped { slot: id, private } = state.held.table.get(gfn) else {
            return Ok(());
        };
        let backing = self.family.backing();
        let layer = {
            let mut swap = self.family.swap.lock();
            let slot = swap.slot(id);
            let layer = self.family.layer(slot.layer);
            layer.add(gfn, MAP).map_err(SpaceError::saturated(gfn))?;
            if let Some(place) = slot.place {
                if let Err(error) = backing.read_in(place, layer.store(), gfn) {
                    layer.let_go(gfn, MAP);
                    return Err(error.into());
                }
                backing.forget(place);
                slot.place = None;
            }
            layer
        };
        let private = self.family.rules().private_after_swap_in(private);
        state.set(gfn, Entry::Mapped(Mapped { layer: layer.id(), writable: false, private }));
        backing.make_present(&self.window, Run::one(gfn));
        leave_swap(&self.family, id);
        self.family.counters.swapped_in.add(1);
        Ok(())
    }

    /// Makes a mapped page writable: rule (a).
    ///
    /// The decision holds until the end of this function: a count of 1 is stable under the space's
    /// lock, because new references come from forks, snapshots and pins, which hold it too.
    pub(super) fn break_cow(&self, state: &mut State<B>, gfn: Gfn) -> Result<(), SpaceError> {
        let Some(page) = self.mapped(state, gfn) else { return Ok(()) };
        if page.entry.writable {
            return Ok(());
        }
        match self.family.rules().on_write(page.facts()) {
            OnWrite::Reuse => {
                state.set(gfn, Entry::Mapped(Mapped::own(page.entry.layer)));
                self.family.backing().unprotect(&self.window, page.run());
                self.family.counters.reused.add(1);
            }
            OnWrite::Copy => {
                if !state.mappings.make_room(2) {
                    self.copy_block_around(state, gfn)?;
                }
                self.replace(state, &page, Mapped::own(page.entry.layer))?;
                self.family.counters.copied.add(1);
            }
            OnWrite::Wait => return Err(SpaceError::Wait { gfn }),
        }
        Ok(())
    }

    /// Gives a page a frame of its own with the same bytes, under an entry like `like`.
    pub(super) fn replace(
        &self,
        state: &mut State<B>,
        page: &Page<B>,
        like: Mapped,
    ) -> Result<(), BackingError> {
        self.replace_run(state, page.run(), page, like)
    }

    /// [`replace`](Self::replace) for neighbours whose frames are in the layer of `page`.
    fn replace_run(
        &self,
        state: &mut State<B>,
        run: Run,
        page: &Page<B>,
        like: Mapped,
    ) -> Result<(), BackingError> {
        let backing = self.family.backing();
        let target = state.reserve.layer_for(run.first).clone();
        for gfn in run.gfns() {
            let claimed = target.claim(gfn, MAP);
            debug_assert!(claimed, "{gfn}: no slot was set aside for the copy");
        }
        let access = if like.writable { Access::Writable } else { Access::Protected };
        let shown = backing
            .copy(page.layer.store(), target.store(), run)
            .and_then(|()| backing.map(&self.window, target.store(), run, access));
        if let Err(error) = shown {
            target.let_go_run(run, MAP);
            return Err(error);
        }
        let entry = Entry::Mapped(Mapped { layer: target.id(), ..like });
        let before = mappings::cuts(&state.held.table, run);
        for gfn in run.gfns() {
            state.held.table.set(gfn, entry);
        }
        state.mappings.changed(before, mappings::cuts(&state.held.table, run));
        page.layer.let_go_run(run, Holder::Map);
        Ok(())
    }

    /// Copies every shared, unpinned page around `gfn` (but not `gfn` itself unless it is one of a
    /// run) so that the block becomes one mapping: for when the host has no mappings to spare.
    fn copy_block_around(&self, state: &mut State<B>, gfn: Gfn) -> Result<(), BackingError> {
        let rules = self.family.rules();
        let block = state.reserve.block(gfn, self.family.pages());
        let pool = self.family.pool();
        let runs = state.held.table.runs(block, |other, entry| match entry {
            Entry::Mapped(mapped) if !mapped.writable && other != gfn => {
                let layer = pool.layer(mapped.layer).clone();
                let page = Page { gfn: other, entry: mapped, layer };
                let facts = page.facts();
                let copies = facts.tally.pins() == 0 && rules.on_write(facts) == OnWrite::Copy;
                copies.then_some(mapped)
            }
            _ => None,
        });
        drop(pool);
        for (run, entry) in runs {
            let layer = self.family.layer(entry.layer);
            let page = Page { gfn: run.first, entry, layer };
            self.replace_run(state, run, &page, Mapped::own(entry.layer))?;
            self.family.counters.block_copied.add(u64::from(run.pages));
            self.family.backing().wake(&self.window, run);
        }
        Ok(())
    }
}
