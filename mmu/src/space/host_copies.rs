//! What the host copied without being told to: where first writes are left to it.
//!
//! The host copies a page at its first write (rule (a), with the image that the page is shared with as
//! the second holder), and tells nobody. So the map of such a space is what was last heard: an entry
//! that is not writable may lead to a frame in whose place the window shows a copy by now. Whoever has
//! to know asks first, with [`AddressSpace::learn`]. A copy is a frame like any other, in a layer that
//! *is* the window: it has a count, is pinned, and keeps its place until this space maps something else
//! there.

use super::gate::Alone;
use super::{AddressSpace, MAP, State};
use crate::backing::{Backing, HostCow};
use crate::error::SpaceError;
use crate::gfn::{Gfn, Run};
use crate::table::{Entry, Mapped};

/// The host's copy-on-write below a backing.
pub(super) type Cow<'a, B> =
    dyn HostCow<Store = <B as Backing>::Store, Window = <B as Backing>::Window> + 'a;

impl<B: Backing> AddressSpace<B> {
    /// The host, where it copies pages of this space: one whose memory was shared at least once.
    pub(super) fn copier(&self, state: &State<B>) -> Option<&Cow<'_, B>> {
        state.held.base()?;
        self.family.backing().host_cow()
    }

    /// Enters into the map what the host has copied in `run`.
    pub(super) fn learn(&self, state: &mut State<B>, run: Run) {
        if let Some(cow) = self.copier(state) {
            let look = || cow.copied(&self.window, run);
            let copied = match &state.copy_out {
                Some(copy_out) => copy_out.not_waiting(&self.window, look),
                None => look(),
            };
            copied.into_iter().for_each(|run| self.enter_copies(state, run));
        }
    }

    /// Enters into the map all that the host has copied.
    pub(crate) fn learn_all(&self) {
        self.look(Run::new(0, self.family.pages()), |_| ());
    }

    /// What `look` sees of the space when all that the host did in `run` is known.
    pub(super) fn look<T>(&self, run: Run, look: impl FnOnce(&State<B>) -> T) -> T {
        if self.family.backing().host_cow().is_none() {
            return look(&self.state.read());
        }
        let mut state = self.state.write();
        self.learn(&mut state, run);
        look(&state)
    }

    /// Makes a page that the space shares its own, as a write would: rule (a).
    pub(super) fn copy_by_host(
        &self,
        state: &mut State<B>,
        cow: &Cow<'_, B>,
        gfn: Gfn,
    ) -> Result<(), SpaceError> {
        match &state.copy_out {
            Some(copy_out) if copy_out.is_source(&self.window) => copy_out.release(gfn),
            Some(copy_out) => copy_out.fetch(gfn),
            None => {}
        }
        cow.copy_now(&self.window, Run::one(gfn))?;
        self.enter_copies(state, Run::one(gfn));
        Ok(())
    }

    /// Waits until all that a fork of this space left to do is done, and helps: what is to be copied is, and the image on
    /// which it stands needs no other.
    pub fn finish_copy_out(&self) {
        let (copy_out, base) = {
            let state = self.state.read();
            (state.copy_out.clone(), state.held.base().cloned())
        };
        if let Some(copy_out) = copy_out {
            copy_out.finish();
        }
        if let Some(base) = base {
            base.stand_alone();
        }
    }

    /// Does what of a fork can be done while the guest still runs: what the last one left is copied, and what the
    /// host has copied since is entered. Best before the guest is stopped.
    pub fn get_ready(&self) {
        self.finish_copy_out();
        if self.family.backing().host_cow().is_some() {
            self.learn_all();
        }
    }

    /// What is copied out of this space, or was.
    #[cfg(test)]
    pub(crate) fn copy_out(&self) -> Option<std::sync::Arc<super::CopyOut<B>>> {
        self.state.read().copy_out.clone()
    }

    /// The space alone, with nothing left to copy.
    pub(super) fn settled(&self) -> Alone<'_, State<B>> {
        loop {
            self.finish_copy_out();
            let mut state = self.state.write();
            if state.copy_out.as_ref().is_none_or(|copy_out| copy_out.is_done()) {
                state.copy_out = None;
                return state;
            }
        }
    }

    /// Has the host make a page that it was told to clear: a device that reads it beforehand would be
    /// given the zeros of everybody, and not see what the guest writes meanwhile.
    pub(super) fn make_by_host(&self, state: &State<B>, gfn: Gfn) -> Result<(), SpaceError> {
        match self.copier(state).filter(|_| state.zeros.contains(&gfn)) {
            Some(cow) => Ok(cow.copy_now(&self.window, Run::one(gfn))?),
            None => Ok(()),
        }
    }

    /// Puts zeros in place of neighbours. What the space alone held it lets go.
    pub(super) fn clear_by_host(&self, state: &mut State<B>, run: Run) -> Result<(), SpaceError> {
        let Some(cow) = self.copier(state) else { return Ok(()) };
        // Zeros over zeros tear nothing apart.
        let zeros = run.gfns().all(|gfn| state.zeros.contains(&gfn));
        let more = if zeros { 0 } else { 2 };
        self.with_room(state, more, |state| {
            let clear = || cow.clear(&self.window, run);
            match &state.copy_out {
                Some(copy_out) if copy_out.is_source(&self.window) => {
                    copy_out.instead(run, clear)?;
                }
                _ => clear()?,
            }
            state.mappings.charge(more);
            for gfn in run.gfns() {
                state.zeros.insert(gfn);
                if let Some(Mapped { layer, writable: true, .. }) = self.own(state, gfn) {
                    self.family.let_go(&self.family.layer(layer), Run::one(gfn), MAP);
                }
            }
            Ok(())
        })
    }

    fn enter_copies(&self, state: &mut State<B>, run: Run) {
        let new = run.gfns().filter(|gfn| self.own(state, *gfn).is_some()).count();
        self.family.counters.copied.add(new as u64);
    }

    /// Enters a page of the window's own. What was there, if that was something else.
    fn own(&self, state: &mut State<B>, gfn: Gfn) -> Option<Mapped> {
        let layer = state.reserve.layer_for(gfn);
        let Entry::Mapped(before) = state.held.table.get(gfn) else { return None };
        if before.layer == layer.id() {
            return None;
        }
        layer.take_back(gfn, MAP);
        state.held.table.set(gfn, Entry::Mapped(Mapped::own(layer.id())));
        Some(before)
    }

    /// The frames that the window has pinned, as neighbours: a guest's end leaves them to its devices.
    pub(super) fn pinned_in_window(&self, state: &State<B>) -> Vec<Run> {
        let layer = state.reserve.layer_for(Gfn(0));
        let is_pinned = |gfn: &Gfn| {
            let tally = layer.tally(*gfn);
            tally.refs > tally.maps
        };
        match layer.live() {
            0 => Vec::new(),
            _ => state.held.table.all().gfns().filter(is_pinned).map(Run::one).collect(),
        }
    }
}
