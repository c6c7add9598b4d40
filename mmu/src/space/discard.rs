//! Discards: a guest that says that it does not need a page's bytes any more.

use super::{AddressSpace, MAP};
use crate::backing::{Access, Backing};
use crate::error::SpaceError;
use crate::gfn::{Gfn, Run};
use crate::holding::leave_swap;
use crate::rules::Verdict;
use crate::table::{Entry, Mapped};

#[cfg(test)]
mod tests;

impl<B: Backing> AddressSpace<B> {
    /// Makes a page read as zeros and gives its memory back, for this guest only: rule (d).
    ///
    /// # Errors
    /// [`SpaceError::Busy`] or [`SpaceError::Wait`] when the rule set refuses because the frame is
    /// pinned, or what the host said.
    pub fn discard(&self, gfn: Gfn) -> Result<(), SpaceError> {
        self.check(gfn)?;
        let mut state = self.state.write();
        self.learn(&mut state, Run::one(gfn));
        let backing = self.family.backing();
        let run = Run::one(gfn);
        let old = state.held.table.get(gfn);
        if let Some(page) = self.mapped(&state, gfn) {
            let facts = page.facts(&self.family);
            match self.family.rules().on_evict(facts) {
                Verdict::Busy => return Err(SpaceError::Busy { gfn, tally: facts.tally }),
                Verdict::Wait => return Err(SpaceError::Wait { gfn }),
                Verdict::Allow => {}
            }
            let in_window = page.based || page.layer.id() == state.reserve.layer_for(gfn).id();
            let left = in_window || facts.tally.refs > 1;
            if let Some(cow) = self.copier(&state).filter(|_| left) {
                self.clear_by_host(&mut state, cow, gfn)?;
                self.family.counters.discarded.add(1);
                return Ok(());
            }
            if facts.tally.refs == 1 {
                backing.punch(page.layer.store(), run);
                self.family.counters.discarded.add(1);
                return Ok(());
            }
        }
        self.with_room(&mut state, 2, |state| {
            let mut unwritten = state.held.table.clone();
            unwritten.set(gfn, Entry::Empty);
            let reserve = state.reserve.with_page(&self.family, &unwritten, gfn)?;
            let fresh = reserve.layer_for(gfn).clone();
            fresh.take(gfn, MAP);
            if let Err(error) = backing.map(&self.window, fresh.store(), run, Access::Writable) {
                self.family.let_go(&fresh, run, MAP);
                return Err(error.into());
            }
            state.reserve = reserve;
            state.set_shown_anew(run, Entry::Mapped(Mapped::own(fresh.id())));
            Ok(())
        })?;
        match old {
            Entry::Mapped(mapped) => {
                self.family.let_go(&self.family.layer(mapped.layer), run, MAP);
            }
            Entry::Swapped { slot, .. } => leave_swap(&self.family, slot),
            Entry::Empty => {}
        }
        backing.wake(&self.window, run);
        self.family.counters.discarded.add(1);
        Ok(())
    }
}
