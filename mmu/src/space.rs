//! Address spaces: one guest's map from gfn to frame, and its window.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::backing::{Access, Backing};
use crate::count::{Holder, Tally};
use crate::error::SpaceError;
use crate::family::Family;
use crate::gfn::{Gfn, Run};
use crate::holding::Holding;
use crate::layer::Layer;
use crate::rules::Facts;
use crate::table::{Entry, LayerId, Mapped, Table};

mod birth;
mod copy_out;
mod discard;
mod evict;
mod fault;
mod fork;
mod freeze;
mod gate;
mod host_copies;
mod known;
mod mappings;
mod pin;
mod prefault;
mod protect;
mod reserve;

pub(crate) use copy_out::CopyOut;
pub use discard::Discarded;
pub use pin::{FromDevice, Hold, Pin, PinRequest, ToDevice, Way};
pub use prefault::Prefault;

use gate::Gate;
use known::Known;
use mappings::Mappings;
use reserve::Reserve;

/// One guest's memory.
///
/// Every operation is *plan, then commit, or roll back*: it gathers values, asks the rules,
/// prepares whatever may fail, and only then changes what others can see. An operation that returns
/// an error has changed nothing.
pub struct AddressSpace<B: Backing> {
    id: u64,
    family: Arc<Family<B>>,
    window: Arc<B::Window>,
    state: Gate<State<B>>,
}

/// What the space's lock protects.
struct State<B: Backing> {
    held: Holding<B>,
    reserve: Reserve<B>,
    mappings: Mappings<B>,
    known: Known<B>,
    /// Pages that were cleared by the host since the last fork: it may not have made them yet.
    zeros: BTreeSet<Gfn>,
    /// What is copied out of this space's window, or into frames that it shares.
    copy_out: Option<Arc<CopyOut<B>>>,
    /// The image that learns from this space what its clones write, while that stands on it.
    teaches: Option<u64>,
}

impl<B: Backing> State<B> {
    fn new(held: Holding<B>, reserve: Reserve<B>, mappings: Mappings<B>) -> Self {
        let (known, zeros) = (Known::default(), BTreeSet::new());
        Self { held, reserve, mappings, known, zeros, copy_out: None, teaches: None }
    }

    /// Changes an entry whose references the caller has seen to, and keeps the count of mappings.
    fn set(&mut self, gfn: Gfn, entry: Entry) {
        self.change(Run::one(gfn), |state| state.held.table.set(gfn, entry));
    }

    /// Changes entries after something was mapped over their pages.
    fn set_shown_anew(&mut self, run: Run, entry: Entry) {
        self.change(run, |state| {
            run.gfns().for_each(|gfn| state.held.table.set(gfn, entry));
            state.mappings.unwatch(run);
        });
    }

    /// Does what changes the charge at `run` only, and keeps the count of mappings.
    fn change(&mut self, run: Run, change: impl FnOnce(&mut Self)) {
        let before = self.mappings.cuts(&self.held.table, run);
        change(self);
        let after = self.mappings.cuts(&self.held.table, run);
        self.mappings.changed(before, after);
    }
}

/// A mapped page: its entry and its frame's layer.
struct Page<B: Backing> {
    gfn: Gfn,
    entry: Mapped,
    layer: Arc<Layer<B>>,
    /// The space holds the frame through its base, so that the frame's count knows nothing of it.
    based: bool,
}

impl<B: Backing> Page<B> {
    /// What the rules want to know. A frame that the space holds through its base has one holder more than
    /// its count says.
    fn facts(&self, family: &Family<B>) -> Facts {
        let mut facts = facts_of(family, &self.layer, self.gfn, self.entry);
        if self.based {
            facts.tally.refs += 1;
            facts.tally.maps += 1;
        }
        facts
    }

    fn run(&self) -> Run {
        Run::one(self.gfn)
    }
}

/// What the rules want to know about a frame, from an entry in whose count it stands.
///
/// The alarm of the whole design stands here: under the space's lock, a writable page is
/// reachable from its own page table alone, and what else raises its count is a pin. A rule set
/// that is known to be wrong may break it, and so may references that were never introduced as
/// pins, while there are any.
fn facts_of<B: Backing>(family: &Family<B>, layer: &Layer<B>, gfn: Gfn, entry: Mapped) -> Facts {
    let strangers = family.transients.load(Ordering::Acquire) > 0;
    let tally = layer.tally(gfn);
    let Mapped { writable, private, .. } = entry;
    let excused = strangers || family.rules().is_broken();
    debug_assert!(
        excused || !writable || tally.refs == 1 + tally.pins(),
        "{gfn}: writable, and held by something else than pins: {tally:?}",
    );
    Facts { writable, private, tally }
}

/// What a guest's memory is made of at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Census {
    /// Pages whose frame others hold too.
    pub shared: u64,
    /// Pages whose frame this space alone holds.
    pub private: u64,
    /// Pages whose frame a device has pinned, which counts as a holder.
    pub pinned: u64,
    /// Pages in the swap.
    pub swapped: u64,
    /// Host mappings of the window.
    pub mappings: u64,
}

impl<B: Backing> AddressSpace<B> {
    /// Its number in the family: children have higher ones than their parents.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The family that it shares frames with.
    #[must_use]
    pub fn family(&self) -> &Arc<Family<B>> {
        &self.family
    }

    /// Where the guest's CPUs see their memory.
    #[must_use]
    pub fn window(&self) -> &B::Window {
        &self.window
    }

    /// The entry of a page.
    ///
    /// # Errors
    /// [`SpaceError::OutOfRange`].
    pub fn entry(&self, gfn: Gfn) -> Result<Entry, SpaceError> {
        self.check(gfn)?;
        Ok(self.look(Run::one(gfn), |state| state.held.table.get(gfn)))
    }

    /// A copy of the whole map, as it is now.
    #[must_use]
    pub fn map(&self) -> Table {
        self.look(Run::new(0, self.family.pages()), |state| state.held.table.clone())
    }

    /// The same, and whether an image holds what the map may not write.
    pub(crate) fn map_and_whether_based(&self) -> (Table, bool) {
        let based = |state: &State<B>| (state.held.table.clone(), state.held.base().is_some());
        self.look(Run::new(0, self.family.pages()), based)
    }

    /// How many frames it may write.
    pub(crate) fn own_frames(&self) -> u64 {
        self.learn_all();
        let mut frames = 0;
        self.each_held(|_, _| frames += 1);
        frames
    }

    /// Every frame in whose count this space stands.
    pub(crate) fn each_held(&self, see: impl FnMut(LayerId, Gfn)) {
        self.state.read().held.each_held(see);
    }

    /// What the memory is made of.
    #[must_use]
    pub fn census(&self) -> Census {
        self.look(Run::new(0, self.family.pages()), |state| self.count(state))
    }

    fn count(&self, state: &State<B>) -> Census {
        let pool = self.family.pool();
        let mut census = Census {
            mappings: state.mappings.count_of(&state.held.table) as u64,
            ..Census::default()
        };
        for (gfn, entry) in state.held.table.iter() {
            match entry {
                Entry::Empty => {}
                Entry::Swapped { .. } => census.swapped += 1,
                Entry::Mapped(mapped) => {
                    let tally = pool.layer(mapped.layer).tally(gfn);
                    census.pinned += u64::from(tally.pins() > 0);
                    match tally {
                        Tally { refs: 1, .. } if state.held.counts(mapped) => census.private += 1,
                        _ => census.shared += 1,
                    }
                }
            }
        }
        census
    }

    /// Whether the count of mappings is right, and within what was reserved.
    #[cfg(test)]
    pub(crate) fn check_mappings(&self) -> Result<(), String> {
        let state = self.state.read();
        state.mappings.check(&state.held.table)
    }

    fn check(&self, gfn: Gfn) -> Result<(), SpaceError> {
        let pages = self.family.pages();
        if gfn.0 < pages { Ok(()) } else { Err(SpaceError::OutOfRange { gfn, pages }) }
    }

    /// Runs an operation that may need `more` further mappings. If it fails, the budget gets back
    /// what was taken from it.
    fn with_room<T>(
        &self,
        state: &mut State<B>,
        more: usize,
        operation: impl FnOnce(&mut State<B>) -> Result<T, SpaceError>,
    ) -> Result<T, SpaceError> {
        let before = state.mappings.reserved();
        let needed = state.mappings.charged() + more;
        if !state.mappings.make_room(needed) {
            return Err(state.mappings.refusal(needed));
        }
        let done = operation(state);
        if done.is_err() {
            state.mappings.return_down_to(before);
        }
        done
    }

    /// The page at `gfn`, if it is mapped.
    fn mapped(&self, state: &State<B>, gfn: Gfn) -> Option<Page<B>> {
        match state.held.table.get(gfn) {
            Entry::Mapped(entry) => {
                let (layer, based) = (self.family.layer(entry.layer), !state.held.counts(entry));
                Some(Page { gfn, entry, layer, based })
            }
            Entry::Empty | Entry::Swapped { .. } => None,
        }
    }

    /// Shows in the window what `run` of the table says.
    fn show(&self, table: &Table, run: Run) -> Result<(), SpaceError> {
        let runs = table.runs(run, |_, entry| match entry {
            Entry::Mapped(Mapped { layer, writable: true, .. }) => Some((layer, Access::Writable)),
            Entry::Mapped(Mapped { layer, writable: false, .. }) => {
                Some((layer, Access::Protected))
            }
            Entry::Swapped { slot, .. } => {
                Some((self.family.swap.lock().slot(slot).layer, Access::Absent))
            }
            Entry::Empty => None,
        });
        for (run, (layer, access)) in runs {
            let layer = self.family.layer(layer);
            self.family.backing().map(&self.window, layer.store(), run, access)?;
        }
        Ok(())
    }
}

impl<B: Backing> Drop for AddressSpace<B> {
    fn drop(&mut self) {
        let state = self.state.read();
        if let Some(job) = state.copy_out.as_ref().filter(|job| job.is_source(&self.window)) {
            job.finish();
        }
        if let Some(cow) = self.copier(&state) {
            self.teach(&state, || cow.copied(&self.window, state.held.table.all()));
        }
        // The window first: a frame's count drops only after no window maps it.
        let pinned = self.copier(&state).map(|cow| (cow, self.pinned_in_window(&state)));
        match pinned {
            Some((cow, pinned)) if !pinned.is_empty() => {
                // The window *is* their frames, which devices may use until they let go.
                let mut at = 0;
                for run in pinned {
                    cow.unmap(&self.window, Run::new(at, run.first.0));
                    at = run.numbers().end;
                }
                cow.unmap(&self.window, Run::new(at, self.family.pages()));
            }
            _ => self.family.backing().unmap_all(&self.window),
        }
    }
}

/// The holder that an address space is.
const MAP: Holder = Holder::Map;
