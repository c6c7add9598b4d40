//! Write-protection of single pages, as dirty tracking does it.

use super::AddressSpace;
use crate::backing::Backing;
use crate::error::SpaceError;
use crate::gfn::{Gfn, Run};
use crate::rules::Verdict;
use crate::table::{Entry, Mapped};

impl<B: Backing> AddressSpace<B> {
    /// Makes the next write to a page trap: rule (c). Does nothing to a page that is protected
    /// already or evicted.
    ///
    /// # Errors
    /// [`SpaceError::Busy`] when the rule set refuses because something else holds the frame,
    /// [`SpaceError::LeftToHost`] where the host answers writes, [`SpaceError::NoMappings`], or what the
    /// host said. Everything is as before then.
    pub fn write_protect(&self, gfn: Gfn) -> Result<(), SpaceError> {
        self.check(gfn)?;
        if self.family.backing().host_cow().is_some() {
            return Err(SpaceError::LeftToHost { operation: "write-protecting a page" });
        }
        let mut state = self.state.write();
        let Some(page) = self.mapped(&state, gfn) else { return Ok(()) };
        let rules = self.family.rules();
        let facts = page.facts(&self.family);
        match rules.on_protect(facts) {
            Verdict::Busy => return Err(SpaceError::Busy { gfn, tally: facts.tally }),
            Verdict::Wait => return Err(SpaceError::Wait { gfn }),
            Verdict::Allow => {}
        }
        let private = rules.private_after_protect(page.entry.private);
        let protected = Mapped { writable: false, private, ..page.entry };
        if protected == page.entry {
            return Ok(());
        }
        let entry = Entry::Mapped(protected);
        self.with_room(&mut state, 2, |state| {
            let mut after = state.held.table.clone();
            after.set(gfn, entry);
            let reserve = state.reserve.with_page(&self.family, &after, gfn)?;
            if page.entry.writable {
                self.family.backing().protect(&self.window, Run::one(gfn))?;
            }
            state.reserve = reserve;
            state.set(gfn, entry);
            Ok(())
        })
    }
}
