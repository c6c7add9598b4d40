//! Write faults, and accesses to evicted pages.

use super::{AddressSpace, MAP, Page, State};
use crate::backing::{Access, Backing, BackingError};
use crate::error::SpaceError;
use crate::gfn::{Gfn, Run};
use crate::holding::leave_swap;
use crate::layer::Layer;
use crate::rules::OnWrite;
use crate::table::{Entry, Mapped};

impl<B: Backing> AddressSpace<B> {
    /// Answers an access that trapped: brings the page back if it was evicted and, for a write,
    /// makes it writable, in place or as a copy, as the rules say. The caller, once it has nothing
    /// of this space any more, wakes whoever waits: what a guest does next must not find its monitor
    /// still busy with what it did before.
    ///
    /// # Errors
    /// [`SpaceError::Wait`] when the rule set lets writers wait for pins: try again when pins were
    /// let go. [`SpaceError::Backing`] when the host fails; slots and mappings were set aside
    /// beforehand, so what remains is a lack of memory or a broken swap file. A page that was read
    /// back from the swap before that stays: no guest can tell.
    pub fn fault(&self, gfn: Gfn, write: bool) -> Result<(), SpaceError> {
        self.check(gfn)?;
        let mut state = self.state.write();
        self.learn(&mut state, Run::one(gfn));
        let before = state.held.table.get(gfn);
        self.bring_back(&mut state, gfn)?;
        if write {
            self.break_cow(&mut state, gfn)?;
        }
        if state.held.table.get(gfn) == before {
            self.show_again(before, gfn);
        }
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
            !page.entry.writable
                && self.family.rules().on_write(page.facts(&self.family)) == OnWrite::Wait
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
                    layer.let_go(Run::one(gfn), MAP);
                    return Err(error.into());
                }
                backing.forget(place);
                slot.place = None;
            }
            layer
        };
        state.mappings.brought_back(gfn);
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
        if let Some(cow) = self.copier(state) {
            return self.copy_by_host(state, cow, gfn);
        }
        let facts = page.facts(&self.family);
        let decision = self.family.rules().on_write(facts);
        if decision == OnWrite::Wait {
            return Err(SpaceError::Wait { gfn });
        }
        let (before, needed) = (state.mappings.reserved(), state.mappings.charged() + 2);
        if !state.mappings.make_room(needed) && self.may_move(&page) {
            return Ok(self.copy_block(state, gfn)?);
        }
        if decision == OnWrite::Reuse {
            state.set(gfn, Entry::Mapped(Mapped::own(page.entry.layer)));
            // Counted before the guest goes on, who may be asked what it cost.
            self.family.counters.reused.add(1);
            self.family.backing().unprotect(&self.window, page.run());
            return Ok(());
        }
        let copied = self.replace(state, page.run(), &page.layer);
        match copied {
            Ok(()) => self.family.counters.copied.add(1),
            Err(_) => state.mappings.return_down_to(before),
        }
        Ok(copied?)
    }

    /// Gives neighbours, whose frames are in one layer, writable frames of their own with the same
    /// bytes.
    fn replace(&self, state: &mut State<B>, run: Run, from: &Layer<B>) -> Result<(), BackingError> {
        let backing = self.family.backing();
        let target = state.reserve.layer_for(run.first).clone();
        target.take_run(run, MAP);
        let shown = backing
            .copy(from.store(), target.store(), run)
            .and_then(|()| backing.map(&self.window, target.store(), run, Access::Writable));
        if let Err(error) = shown {
            self.family.let_go(&target, run, MAP);
            return Err(error);
        }
        state.set_shown_anew(run, Entry::Mapped(Mapped::own(target.id())));
        self.family.let_go(from, run, MAP);
        Ok(())
    }

    /// Whether a protected page may get a frame of its own before its guest writes it.
    ///
    /// Nobody but this space and its pins looks for the page in its frame, so that it takes a pin,
    /// or a reference that may be one, to forbid it. Where the rules would copy, they have said that
    /// such a reference does not count.
    fn may_move(&self, page: &Page<B>) -> bool {
        let facts = page.facts(&self.family);
        !facts.writable
            && match self.family.rules().on_write(facts) {
                OnWrite::Copy => facts.tally.pins() == 0,
                OnWrite::Reuse => facts.tally.refs == 1,
                OnWrite::Wait => false,
            }
    }

    /// Makes the block around `gfn` one run of writable frames, by copying all of it that is still
    /// protected and may be moved, `gfn` included: for when the host has no mappings to spare.
    ///
    /// What was copied before a failure stays: no guest can tell.
    fn copy_block(&self, state: &mut State<B>, gfn: Gfn) -> Result<(), BackingError> {
        let block = state.reserve.block(gfn, self.family.pages());
        let runs = state.held.table.runs(block, |gfn, entry| match entry {
            Entry::Mapped(entry) => {
                let layer = self.family.layer(entry.layer);
                let page = Page { gfn, entry, layer, based: false };
                self.may_move(&page).then_some(entry.layer)
            }
            Entry::Empty | Entry::Swapped { .. } => None,
        });
        for (run, layer) in runs {
            self.replace(state, run, &self.family.layer(layer))?;
            let beside = run.pages - u32::from(run.numbers().contains(&gfn.0));
            self.family.counters.block_copied.add(u64::from(beside));
            self.family.backing().wake(&self.window, run);
        }
        self.family.counters.copied.add(1);
        Ok(())
    }
}
