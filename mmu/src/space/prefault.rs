//! Pages that a clone will probably write are made its own beforehand, beside its CPUs.
//!
//! Where the host copies pages, a first write of a guest costs an exit and a copy. A thread beside it that writes
//! nothing to each page first makes the copies cheaper, and the guest finds them there; and KVM maps neighbours of a page
//! that are there already with it. It is nothing but a first write that changes no byte: a page that the guest writes meanwhile is the guest's, and all that is told of
//! copies ([`host_copies`](super::host_copies)) is told of these, too.
//!
//! It shares the space's lock with pins, a piece at a time, so that nothing is mapped anew meanwhile: forks,
//! discards and copy-outs wait for a piece at most. It ends by itself when the space no longer stands on
//! the image that taught it, or when the image is still being filled.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::{AddressSpace, State};
use crate::backing::Backing;
use crate::gfn::{Gfn, Run};
use crate::table::{Entry, Mapped};

#[cfg(test)]
mod tests;

/// Pages that are copied before others get the lock: some 0.1 ms.
const PIECE: u32 = 32;

/// What is to be prefaulted in one space, until that is done or [stopped](Self::stop).
pub struct Prefault<B: Backing>(Mutex<Option<Work<B>>>);

struct Work<B: Backing> {
    space: Arc<AddressSpace<B>>,
    /// The image on which it stands.
    base: u64,
    left: VecDeque<Run>,
}

impl<B: Backing> Prefault<B> {
    pub(crate) fn new(space: &Arc<AddressSpace<B>>, base: u64, likely: &[Run]) -> Self {
        let (space, left) = (Arc::clone(space), likely.iter().copied().collect());
        Self(Mutex::new(Some(Work { space, base, left })))
    }

    /// Makes all of it the space's own, in this thread. What cannot be had is left for the guest to write.
    pub fn run(&self) {
        while self.advance() {}
    }

    /// Makes the next pages the space's own, in this thread. Whether there are more.
    pub fn advance(&self) -> bool {
        let mut lock = self.0.lock();
        let more = lock.as_mut().is_some_and(Work::step);
        if !more {
            // Before the lock: who stops it afterwards finds the space let go.
            *lock = None;
        }
        // Somebody may want to stop it.
        MutexGuard::unlock_fair(lock);
        more
    }

    /// Ends it. Nothing of it goes on afterwards, and the space is not held any more.
    pub fn stop(&self) {
        let stopped = self.0.lock().take();
        drop(stopped);
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.lock().is_none()
    }
}

impl<B: Backing> Work<B> {
    /// Copies the next pages. Whether there are more.
    fn step(&mut self) -> bool {
        let mut piece = Vec::new();
        let mut room = PIECE;
        while let Some(run) = self.left.front_mut().filter(|_| room > 0) {
            let part = run.take_first(room);
            if run.pages == 0 {
                self.left.pop_front();
            }
            room -= part.pages;
            piece.push(part);
        }
        self.space.prefault(self.base, &piece) && !self.left.is_empty()
    }
}

impl<B: Backing> AddressSpace<B> {
    /// Makes what is shared of `runs` the space's own. Whether to go on.
    fn prefault(&self, base: u64, runs: &[Run]) -> bool {
        let state = self.state.read();
        let stands = state.held.base().is_some_and(|image| image.id() == base);
        let is_whole = state.copy_out.as_ref().is_none_or(|copy_out| copy_out.is_done());
        let Some(cow) = self.copier(&state).filter(|_| stands && is_whole) else { return false };
        let shared: Vec<Run> = runs.iter().flat_map(|run| shared_parts(&state, *run)).collect();
        let done = cow.copy_ahead(&self.window, &shared).is_ok();
        if done {
            let pages = shared.iter().map(|run| u64::from(run.pages)).sum();
            self.family.counters.prefaulted.add(pages);
        }
        done
    }

    /// Makes what is shared of `run` the space's own, if it stands on an image.
    #[cfg(test)]
    pub(crate) fn prefault_now(self: &Arc<Self>, run: Run) {
        let base = self.state.read().held.base().map(|image| image.id());
        if let Some(base) = base {
            Prefault::new(self, base, &[run]).run();
        }
    }

    /// Makes the space one that `image`, on which it stands, learns from.
    pub(crate) fn make_teacher(&self, image: u64) {
        self.state.write().teaches = Some(image);
    }

    /// Has a teacher give its lesson, of pages that are its own by now. Those that it has discarded it had no
    /// use for.
    pub(super) fn teach(&self, state: &State<B>, own: impl FnOnce() -> Vec<Run>) {
        if let Some(base) = state.held.base().filter(|base| state.teaches == Some(base.id())) {
            let is_kept = |gfn: &Gfn| !state.zeros.contains(gfn);
            let written = own().into_iter().flat_map(|run| parts(run, is_kept));
            base.learn(written);
        }
    }
}

impl<B: Backing> State<B> {
    /// The pages that are known to be the space's own, as neighbours.
    pub(super) fn own_pages(&self) -> Vec<Run> {
        let is_own = |gfn: &Gfn| {
            matches!(self.held.table.get(*gfn), Entry::Mapped(Mapped { writable: true, .. }))
        };
        self.held.own_parts().into_iter().flat_map(|run| parts(run, is_own)).collect()
    }
}

/// What of a run is not known to be the space's own, as neighbours.
fn shared_parts<B: Backing>(state: &State<B>, run: Run) -> Vec<Run> {
    let is_shared = |gfn: &Gfn| {
        let entry = state.held.table.get(*gfn);
        matches!(entry, Entry::Mapped(Mapped { writable: false, .. }))
    };
    parts(run, is_shared).collect()
}

/// The pages of a run of which `is_one` says so, as neighbours.
fn parts(run: Run, is_one: impl Fn(&Gfn) -> bool) -> impl Iterator<Item = Run> {
    let mut at = run.first.0;
    let end = run.numbers().end;
    std::iter::from_fn(move || {
        let first = (at..end).find(|page| is_one(&Gfn(*page)))?;
        let next = (first..end).find(|page| !is_one(&Gfn(*page))).unwrap_or(end);
        at = next;
        Some(Run::new(first, next))
    })
}
