//! Forks and snapshots where the host copies pages: what a space could write becomes an image, on which
//! it stands from then on, as its children do.
//!
//! Nobody writes a frame that an image names. So each frame that the space may write meets one of three
//! fates, by rule (c):
//!
//! | the frame is | not pinned | pinned |
//! | --- | --- | --- |
//! | of a store, mapped shared | *frozen*: it is the image's, and mapped again with the host's copy-on-write | *kept*: the image gets a copy, the space's page stays as it is |
//! | the window's own, made by the host | *moved*: the image gets a copy, which is mapped in its place | *kept* |
//!
//! So a fork copies pinned frames, as everywhere, and what was written since the last fork, the latter in the
//! background when it is much and the host can (`copy_out.rs`); a first fork copies nothing else. The
//! host's mappings pay for islands of moved pages: runs are joined over few
//! pages that nobody wrote, which are copied, too, and over more when mappings run short.

use std::sync::Arc;

use super::copy_out::Traps;
use super::host_copies::Cow;
use super::reserve::{Owned, Reserve};
use super::{AddressSpace, CopyOut, MAP, State, facts_of};
use crate::backing::Backing;
use crate::count::Holder;
use crate::error::SpaceError;
use crate::gfn::{Gfn, Run, join, join_alike};
use crate::image::Image;
use crate::rules::OnFork;
use crate::table::{Entry, LayerId, Mapped, Table};

#[cfg(test)]
mod tests;

/// Pages that nobody wrote between two runs that are copied as one, at most: the first of these that
/// leaves most of the budget of mappings to others. Copying one page costs about a quarter of what a
/// mapping costs to make.
const BRIDGES: [u32; 4] = [4, 32, 256, u32::MAX];

/// The part of the free mappings that the runs of one fork may take: one of so many.
const MODEST: usize = 16;

/// Mappings for what a guest writes before it was copied, at most.
const SPARE: usize = 64;

/// What becomes of the frames that a space may write.
#[derive(Default)]
struct Fates {
    frozen: Vec<(Run, LayerId)>,
    moved: Vec<Run>,
    kept: Vec<Run>,
}

/// What is ready before anything of the space changes.
struct Frozen<B: Backing> {
    fates: Fates,
    /// What is moved, with the pages between.
    moved: Vec<Run>,
    /// Where copies are.
    target: Option<Arc<Owned<B>>>,
    image: Arc<Image<B>>,
    /// What copies what is moved, unless that is done.
    copy_out: Option<Arc<CopyOut<B>>>,
    /// Host mappings for it.
    mappings: usize,
}

impl<B: Backing> AddressSpace<B> {
    /// An image of this moment, and what `make` makes of it before this space changes.
    pub(super) fn freeze<T>(
        &self,
        cow: &Cow<'_, B>,
        make: impl FnOnce(&Arc<Image<B>>) -> Result<T, SpaceError>,
    ) -> Result<(Arc<Image<B>>, T), SpaceError> {
        let mut state = self.settled();
        self.learn(&mut state, Run::new(0, self.family.pages()));
        self.teach(&state, || state.own_pages());
        let fates = self.fates(&state)?;
        let moved = self.bridged(&state.held.table, &fates.moved);
        let later = cow.deferring().filter(|traps| pages(&moved) >= traps.least_pages());
        let frozen = self.image_of(&state, fates, moved, later)?;
        let image = Arc::clone(&frozen.image);
        let copy_out = frozen.copy_out.clone();
        let shown = frozen.shown(state.mappings.charged());
        let done = self.with_room(&mut state, shown.more, |state| {
            let other = make(&image)?;
            if let Some(copy_out) = &copy_out {
                copy_out.protect()?;
            }
            Ok((other, self.stand_on(state, cow, frozen, shown)))
        });
        let (other, former) = match (done, &copy_out) {
            (Ok(done), _) => done,
            (Err(error), copy_out) => {
                copy_out.iter().for_each(|copy_out| copy_out.abandon());
                return Err(error);
            }
        };
        if let Some(copy_out) = &copy_out {
            copy_out.keep(former.clone());
        }
        state.copy_out.clone_from(&copy_out);
        drop(state);
        // The last of its guests takes its frames along: that needs no lock of this space.
        drop(former);
        self.family.enrol_image(&image);
        go_on_later(cow, copy_out, &image);
        Ok((image, other))
    }

    /// Asks the rules about every frame that the space may write: rule (c). The others are an image's,
    /// and shared as they are.
    fn fates(&self, state: &State<B>) -> Result<Fates, SpaceError> {
        let window = state.held.base().map(|_| state.reserve.layer_for(Gfn(0)).id());
        let pool = self.family.pool();
        let mut fates = Fates::default();
        for part in state.held.own_parts() {
            for (gfn, entry) in state.held.table.entries(part) {
                let Entry::Mapped(entry @ Mapped { writable: true, layer, .. }) = entry else {
                    continue;
                };
                let facts = facts_of(&self.family, pool.layer(layer), gfn, entry);
                match self.family.rules().on_fork(facts) {
                    OnFork::Share if window == Some(layer) => join(&mut fates.moved, Run::one(gfn)),
                    OnFork::Share => join_alike(&mut fates.frozen, Run::one(gfn), layer),
                    OnFork::Copy => join(&mut fates.kept, Run::one(gfn)),
                    OnFork::Busy => return Err(SpaceError::Busy { gfn, tally: facts.tally }),
                    OnFork::Wait => return Err(SpaceError::Wait { gfn }),
                }
            }
        }
        Ok(fates)
    }

    /// The runs that are moved, joined over pages between them that are an image's.
    fn bridged(&self, table: &Table, moved: &[Run]) -> Vec<Run> {
        let most_runs = self.family.backing().free_mappings() / MODEST / 2;
        let mut joined = Vec::new();
        for most_between in BRIDGES {
            joined.clear();
            joined.extend(moved.first());
            for run in moved.iter().skip(1) {
                let last: &mut Run = joined.last_mut().expect("the first of them");
                let between = Run::new(last.numbers().end, run.first.0);
                let joins = between.pages <= most_between
                    && table.entries(between).all(|(_, entry)| {
                        matches!(entry, Entry::Mapped(Mapped { writable: false, .. }))
                    });
                match joins {
                    true => last.pages += between.pages + run.pages,
                    false => joined.push(*run),
                }
            }
            if joined.len() <= most_runs {
                break;
            }
        }
        joined
    }

    /// The image of the space's memory, with copies of what it cannot share.
    fn image_of(
        &self,
        state: &State<B>,
        fates: Fates,
        moved: Vec<Run>,
        later: Option<&Traps<'_, B>>,
    ) -> Result<Frozen<B>, SpaceError> {
        let (family, table) = (&self.family, &state.held.table);
        let copied: Vec<Run> = moved.iter().chain(&fates.kept).copied().collect();
        let mut shared = table.clone();
        for &(run, layer) in &fates.frozen {
            let entry = Entry::Mapped(Mapped { layer, writable: false, private: false });
            shared.set_run(run, entry);
        }
        copied.iter().for_each(|run| shared.set_run(*run, Entry::Empty));
        let target = match copied.is_empty() {
            true => None,
            false => Some(Owned::take(family, &copied)?),
        };
        let image = Image::sharing(family, state.held.base(), shared)?;
        if let Some(target) = target.as_ref().map(|target| &target.layer) {
            for &run in &copied {
                target.take_run(run, Holder::Image);
                image.fill(run, target.id());
            }
            let now = if later.is_some() { &fates.kept } else { &copied };
            for (run, source) in now.iter().copied().flat_map(|run| table.layers(run)) {
                family.backing().copy(family.layer(source).store(), target.store(), run)?;
                if let Some(traps) = later {
                    // Windows ask for frames of this layer that it lacks.
                    traps.fill_holes(target.store(), run);
                }
            }
        }
        let mut frozen = Frozen { fates, moved, target, image, copy_out: None, mappings: 0 };
        if let Some(target) = frozen.target.as_ref().filter(|_| later.is_some()) {
            // Each run is replaced in one piece, unless the guest writes some of it meanwhile.
            let spare = SPARE.min(family.backing().free_mappings() / MODEST);
            frozen.mappings = 2 * frozen.moved.len() + spare;
            let own = (&self.window, state.reserve.layer_for(Gfn(0)));
            let (image, runs) = (&frozen.image, &frozen.moved);
            let copy_out = CopyOut::new(own, target, image, runs, frozen.mappings);
            frozen.image.filled_by(&copy_out);
            frozen.copy_out = Some(copy_out);
        }
        Ok(frozen)
    }

    /// Puts the space on its image. Nothing here can fail. Returns what it stood on before.
    fn stand_on(
        &self,
        state: &mut State<B>,
        cow: &Cow<'_, B>,
        frozen: Frozen<B>,
        shown: Shown,
    ) -> Option<Arc<Image<B>>> {
        let Frozen { fates, moved, image, .. } = frozen;
        let family = &self.family;
        for &(run, layer) in &shown.runs {
            cow.replace(&self.window, family.layer(layer).store(), run);
        }
        for &(run, layer) in &fates.frozen {
            family.let_go(&family.layer(layer), run, MAP);
        }
        for &run in &fates.moved {
            family.let_go(state.reserve.layer_for(run.first), run, MAP);
        }
        let mut after = image.map();
        for gfn in fates.kept.iter().flat_map(|run| run.gfns()) {
            after.set(gfn, state.held.table.get(gfn));
        }
        if state.held.base().is_none() {
            let own = Owned::of(family, family.layer_of_window(cow.own_frames(&self.window)));
            state.reserve = Reserve::of_one(own, family.pages(), state.reserve.block_pages);
            state.mappings.settle();
        }
        state.mappings.replaced(shown.charge);
        let kept = fates.kept.iter().flat_map(|run| run.gfns());
        state.zeros = kept.filter(|gfn| state.zeros.contains(gfn)).collect();
        family.counters.early_copies.add(pages(&fates.kept) as u64);
        family.counters.copied_out.add(pages(&fates.moved) as u64);
        family.counters.block_copied.add((pages(&moved) - pages(&fates.moved)) as u64);
        state.held.rebase(image, after)
    }
}

/// Has done what a fork leaves to do: in the background, where the host has one.
fn go_on_later<B: Backing>(
    cow: &Cow<'_, B>,
    copy_out: Option<Arc<CopyOut<B>>>,
    image: &Arc<Image<B>>,
) {
    let Some(traps) = cow.deferring() else { return image.stand_alone() };
    let image = Arc::clone(image);
    traps.in_background(Box::new(move || {
        if let Some(copy_out) = copy_out {
            copy_out.finish();
        }
        image.stand_alone();
    }));
}

/// What is mapped anew, and what the window is charged for mappings.
struct Shown {
    runs: Vec<(Run, LayerId)>,
    /// Meanwhile, beyond what it was.
    more: usize,
    /// Afterwards.
    charge: usize,
}

impl<B: Backing> Frozen<B> {
    /// Each run that is mapped may tear one mapping into three, and the host does not always put
    /// together what would fit (private copies of two mappings have histories of their own). So when
    /// twice as much is charged as the image's runs take, all of them are mapped anew.
    fn shown(&self, charged: usize) -> Shown {
        const SLACK: usize = 64;
        let target = self.target.as_ref().map(|target| target.layer.id());
        let moved = self.moved.iter().filter_map(|run| Some((*run, target?)));
        let moved = moved.filter(|_| self.copy_out.is_none());
        let runs: Vec<_> = self.fates.frozen.iter().copied().chain(moved).collect();
        let more = 2 * runs.len() + self.mappings;
        let whole = self.image.runs().len() + 2 * pages(&self.fates.kept) + self.mappings;
        if charged + more <= 2 * whole + SLACK {
            return Shown { runs, more, charge: charged + more };
        }
        let left = match self.copy_out {
            None => self.fates.kept.clone(),
            Some(_) => merged(&self.fates.kept, &self.moved),
        };
        let shared = self.image.runs().iter().flat_map(|&(run, layer)| {
            let around = without(run, &left);
            around.into_iter().map(move |run| (run, layer))
        });
        Shown { runs: shared.collect(), more: whole, charge: whole }
    }
}

/// Runs of both, in order; no page is in two of them.
fn merged(some: &[Run], others: &[Run]) -> Vec<Run> {
    let mut all: Vec<Run> = some.iter().chain(others).copied().collect();
    all.sort_unstable_by_key(|run| run.first);
    all
}

/// The parts of `run` that are in none of `others`, which are in order.
fn without(run: Run, others: &[Run]) -> Vec<Run> {
    let (mut at, end) = (run.first.0, run.numbers().end);
    let mut parts = Vec::new();
    for other in others.iter().map(|other| other.numbers()) {
        if other.end > at && other.start < end {
            if other.start > at {
                parts.push(Run::new(at, other.start));
            }
            at = other.end.min(end);
        }
    }
    if at < end {
        parts.push(Run::new(at, end));
    }
    parts
}

fn pages(runs: &[Run]) -> usize {
    runs.iter().map(|run| run.pages as usize).sum()
}
