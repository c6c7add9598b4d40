//! Discards: a guest that says that it does not need a page's bytes any more.

use std::sync::Arc;

use super::{AddressSpace, MAP, Page, State};
use crate::backing::{Access, Backing};
use crate::error::SpaceError;
use crate::gfn::{Gfn, Run};
use crate::holding::leave_swap;
use crate::layer::Layer;
use crate::rules::Verdict;
use crate::table::{Entry, Mapped};

#[cfg(test)]
mod tests;

/// What became of pages that were discarded together. Pages that are neither come last: the host refused
/// the first of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discarded {
    /// Pages that read as zeros now, and whose memory was given back as far as this guest had any.
    pub pages: u32,
    /// Pages that were left alone, because their frames are pinned.
    pub pinned: u32,
}

/// What a discard does with a page that is mapped.
#[derive(Clone, Copy, PartialEq)]
enum How {
    /// Nobody else holds the frame: it is punched where it is.
    Clear,
    /// The page moves to the slot that is set aside for its next copy.
    MoveOn,
    /// The same, with a slot that has to be set aside first: the page is writable, and what else holds
    /// its frame forbids nothing to the rule set.
    FindRoom,
    /// The host, which copies pages itself, puts zeros of the window's own in place.
    ClearByHost,
}

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
        self.discard_first(&mut state, Run::one(gfn)).map(drop)
    }

    /// Makes pages read as zeros and gives their memory back, as [`discard`](Self::discard) does to one.
    /// Those that the rule set refuses because their frames are pinned are left alone.
    ///
    /// Nobody else gets at the space meanwhile, so give it as many pages as others can wait for.
    ///
    /// # Errors
    /// [`SpaceError::OutOfRange`], or what the host said of the first page that is not pinned. Where it
    /// refuses a later one, those before are discarded, and nothing more is tried.
    pub fn discard_run(&self, run: Run) -> Result<Discarded, SpaceError> {
        let end = run.first.0.saturating_add(run.pages);
        if run.pages > 0 {
            self.check(Gfn(end - 1))?;
        }
        let mut state = self.state.write();
        self.learn(&mut state, run);
        let (mut done, mut next) = (Discarded::default(), run.first.0);
        while next < end {
            let pages = match self.discard_first(&mut state, Run::new(next, end)) {
                Ok(pages) => {
                    done.pages += pages;
                    pages
                }
                Err(SpaceError::Busy { .. } | SpaceError::Wait { .. }) => {
                    done.pinned += 1;
                    1
                }
                Err(error) if done.pages == 0 => return Err(error),
                Err(_) => break,
            };
            next += pages;
        }
        Ok(done)
    }

    /// Discards the first page of `run`, and those behind it that can be in the same calls. How many.
    fn discard_first(&self, state: &mut State<B>, run: Run) -> Result<u32, SpaceError> {
        let page = self.mapped(state, run.first);
        let how = page.as_ref().map(|page| self.how(state, page)).transpose()?;
        let discarded = match (page, how) {
            (Some(page), Some(How::Clear)) => {
                let run = self.alike(state, run, &page, How::Clear);
                self.family.backing().punch(page.layer.store(), run);
                run
            }
            (Some(page), Some(How::MoveOn)) => {
                // A block has its slots in one layer.
                let block = state.reserve.block(run.first, self.family.pages());
                let end = (run.first.0 + run.pages).min(block.first.0 + block.pages);
                let run = Run::new(run.first.0, end);
                let run = self.alike(state, run, &page, How::MoveOn);
                self.move_on(state, run, &page.layer)?;
                run
            }
            (Some(page), Some(How::ClearByHost)) => {
                let run = self.alike(state, run, &page, How::ClearByHost);
                self.clear_by_host(state, run)?;
                run
            }
            _ => {
                self.find_room(state, run.first)?;
                Run::one(run.first)
            }
        };
        self.family.counters.discarded.add(discarded.pages.into());
        Ok(discarded.pages)
    }

    fn how(&self, state: &State<B>, page: &Page<B>) -> Result<How, SpaceError> {
        let (gfn, facts) = (page.gfn, page.facts(&self.family));
        match self.family.rules().on_evict(facts) {
            Verdict::Busy => return Err(SpaceError::Busy { gfn, tally: facts.tally }),
            Verdict::Wait => return Err(SpaceError::Wait { gfn }),
            Verdict::Allow => {}
        }
        let is_sole = facts.tally.refs == 1;
        let in_window = || page.based || page.layer.id() == state.reserve.layer_for(gfn).id();
        Ok(match facts.writable {
            _ if self.copier(state).is_some() && (!is_sole || in_window()) => How::ClearByHost,
            _ if is_sole => How::Clear,
            true => How::FindRoom,
            false => How::MoveOn,
        })
    }

    /// The pages at the beginning of `run` with which the same is done as with `page`, the first of them.
    /// Their frames are in one layer, where that matters.
    fn alike(&self, state: &State<B>, run: Run, page: &Page<B>, how: How) -> Run {
        let is_alike = |gfn: &Gfn| {
            self.mapped(state, *gfn).is_some_and(|other| {
                (how == How::ClearByHost || other.entry.layer == page.entry.layer)
                    && matches!(self.how(state, &other), Ok(its) if its == how)
            })
        };
        let behind = run.gfns().skip(1).take_while(is_alike).count() as u32;
        Run { first: run.first, pages: 1 + behind }
    }

    /// Has neighbours, whose frames in one layer are shared and protected, leave them for empty ones.
    fn move_on(
        &self,
        state: &mut State<B>,
        run: Run,
        from: &Arc<Layer<B>>,
    ) -> Result<(), SpaceError> {
        let backing = self.family.backing();
        self.with_room(state, 2, |state| {
            let fresh = state.reserve.layer_for(run.first).clone();
            self.show_empty(state, run, &fresh)
        })?;
        self.family.let_go(from, run, MAP);
        backing.wake(&self.window, run);
        Ok(())
    }

    /// The same for one page that may have no slot set aside: see [`How::FindRoom`], and evicted ones.
    fn find_room(&self, state: &mut State<B>, gfn: Gfn) -> Result<(), SpaceError> {
        let (backing, run) = (self.family.backing(), Run::one(gfn));
        let old = state.held.table.get(gfn);
        self.with_room(state, 2, |state| {
            let mut unwritten = state.held.table.clone();
            unwritten.set(gfn, Entry::Empty);
            let reserve = state.reserve.with_page(&self.family, &unwritten, gfn)?;
            self.show_empty(state, run, &reserve.layer_for(gfn).clone())?;
            state.reserve = reserve;
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
        Ok(())
    }

    /// Shows frames of `fresh` that nobody has, writable, in place of what `run` leads to.
    fn show_empty(
        &self,
        state: &mut State<B>,
        run: Run,
        fresh: &Arc<Layer<B>>,
    ) -> Result<(), SpaceError> {
        fresh.take_run(run, MAP);
        let backing = self.family.backing();
        if let Err(error) = backing.map(&self.window, fresh.store(), run, Access::Writable) {
            self.family.let_go(fresh, run, MAP);
            return Err(error.into());
        }
        state.set_shown_anew(run, Entry::Mapped(Mapped::own(fresh.id())));
        Ok(())
    }
}
