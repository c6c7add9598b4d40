//! Copying what a guest wrote for the image that a fork made, while the guest and its children go on.
//!
//! At the fork, the image is given frames that have no bytes yet. The guest's own pages are protected
//! instead, so that they keep the bytes of that moment for as long as somebody wants them:
//!
//! | page | of the image: *missing* | of the guest: *waiting* |
//! | --- | --- | --- |
//! | after the fork | its frame is a hole, and an access to it waits | protected |
//! | a child wants it | filled, at once; and so is a hole of the same layer that is none of these, with zeros | protected |
//! | the guest writes it: rule (a), *wanted, so copy first* | filled first | its own, from then on |
//! | its turn has come | filled | replaced by the image's frame; a write copies, as on any shared page |
//!
//! When there is none left, nothing waits, nothing is protected, and nobody is asked any more. A page is
//! filled whole and at once (see [`Deferring::fill`]), so that nobody sees a part of it.
//!
//! All this is under one lock, which comes after that of a space and is taken by the thread that answers
//! faults. Who holds it touches no page that waits.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};

use super::host_copies::Cow;
use super::reserve::Owned;
use crate::backing::{Backing, BackingError, Deferring};
use crate::family::Family;
use crate::gfn::{Gfn, Run};
use crate::image::Image;
use crate::layer::Layer;
use crate::page_set::PageSet;
use crate::resolve::{FaultKind, Resolve, Resolved};
use crate::table::LayerId;

#[cfg(test)]
mod tests;

/// Pages that are copied before others get the lock: 256 KiB, some 0.1 ms.
const PIECE: u32 = 64;

/// Pages that are filled when one of them is wanted: an aligned block of so many.
const AROUND: u32 = 16;

/// The host's traps below a backing.
pub(super) type Traps<'a, B> =
    dyn Deferring<Store = <B as Backing>::Store, Window = <B as Backing>::Window> + 'a;

/// One copy-out. What it holds goes when it is done.
pub(crate) struct CopyOut<B: Backing>(Mutex<Option<Work<B>>>);

/// What is still to be done, and what it takes.
struct Work<B: Backing> {
    family: Arc<Family<B>>,
    /// The guest's window, and the layer that is it.
    source: Arc<B::Window>,
    from: Arc<Layer<B>>,
    target: Arc<Owned<B>>,
    /// Kept, so that its frames are: the new image, and the one that the guest's window still shows.
    _image: Arc<Image<B>>,
    former: Option<Arc<Image<B>>>,
    /// Windows of children.
    children: Vec<Arc<B::Window>>,
    left: VecDeque<Run>,
    missing: PageSet,
    waiting: PageSet,
    /// Host mappings that were reserved for what is replaced.
    mappings: usize,
    /// The end of what was replaced last: what follows it is no new mapping.
    replaced_to: u32,
}

impl<B: Backing> CopyOut<B> {
    /// The copy-out of `runs` of a window, whose own frames are `from`, to the frames in `target` that
    /// `image` names. It may take so many host mappings.
    pub(super) fn new(
        (source, from): (&Arc<B::Window>, &Arc<Layer<B>>),
        target: &Arc<Owned<B>>,
        image: &Arc<Image<B>>,
        runs: &[Run],
        mappings: usize,
    ) -> Arc<Self> {
        let pages = PageSet::of(runs);
        Arc::new(Self(Mutex::new(Some(Work {
            family: Arc::clone(image.family()),
            source: Arc::clone(source),
            from: Arc::clone(from),
            target: Arc::clone(target),
            _image: Arc::clone(image),
            former: None,
            children: Vec::new(),
            left: runs.iter().copied().collect(),
            missing: pages.clone(),
            waiting: pages,
            mappings,
            replaced_to: 0,
        }))))
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_done(&self) -> bool {
        self.0.lock().is_none()
    }

    /// Makes accesses to frames that are missing wait in the window of a child, over runs of which some
    /// are in the layer that is filled.
    pub(super) fn admit(
        self: &Arc<Self>,
        window: &Arc<B::Window>,
        runs: &[(Run, LayerId)],
    ) -> Result<(), BackingError> {
        if let Some(work) = &mut *self.0.lock() {
            let target = work.target.layer.id();
            let runs = runs.iter().filter(|(_, layer)| *layer == target).map(|(run, _)| *run);
            let runs: Vec<Run> = runs.collect();
            work.traps().trap_holes(window, &runs, self.answer())?;
            work.children.push(Arc::clone(window));
        }
        Ok(())
    }

    /// Protects the guest's pages. It does not run now.
    pub(super) fn protect(self: &Arc<Self>) -> Result<(), BackingError> {
        match &*self.0.lock() {
            Some(work) => {
                let runs: Vec<Run> = work.left.iter().copied().collect();
                work.traps().trap_writes(&work.source, &runs, self.answer())
            }
            None => Ok(()),
        }
    }

    fn answer(self: &Arc<Self>) -> Weak<dyn Resolve> {
        Arc::downgrade(self) as Weak<dyn Resolve>
    }

    /// Keeps `former`, whose frames the guest's window still shows, until all is copied.
    pub(super) fn keep(&self, former: Option<Arc<Image<B>>>) {
        if let Some(work) = &mut *self.0.lock() {
            work.former = former;
        }
    }

    /// Forgets all of it, for a fork that failed.
    pub(super) fn abandon(&self) {
        let mut work = self.0.lock();
        if let Some(work) = &*work {
            work.end();
        }
        let abandoned = work.take();
        drop(work);
        drop(abandoned);
    }

    /// Copies all that is left. Whoever else is at it helps.
    pub(crate) fn finish(&self) {
        loop {
            let mut lock = self.0.lock();
            let Some(work) = &mut *lock else { return };
            if work.step() {
                // Somebody may wait for a page.
                MutexGuard::unlock_fair(lock);
                continue;
            }
            work.end();
            let done = lock.take();
            drop(lock);
            drop(done);
            return;
        }
    }

    /// Whether a window is the guest's whose pages are copied, and not a child's.
    pub(super) fn is_source(&self, window: &Arc<B::Window>) -> bool {
        self.0.lock().as_ref().is_some_and(|work| Arc::ptr_eq(&work.source, window))
    }

    /// Fills the frame of a page that somebody wants.
    pub(super) fn fetch(&self, gfn: Gfn) {
        if let Some(work) = &mut *self.0.lock() {
            work.fetch(gfn);
        }
    }

    /// Gives a page back to the guest, who wants to write it: once nobody else wants it.
    pub(super) fn release(&self, gfn: Gfn) {
        if let Some(work) = &mut *self.0.lock() {
            work.release(Run::one(gfn));
        }
    }

    /// Has `replace` put something else in place of pages of the guest's, once nobody else wants them.
    pub(super) fn instead<T, E>(
        &self,
        run: Run,
        replace: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut lock = self.0.lock();
        let Some(work) = &mut *lock else { return replace() };
        work.fill(run);
        let done = replace()?;
        work.waiting.remove(run);
        Ok(done)
    }

    /// Where the bytes of a frame are that has none yet.
    #[cfg(test)]
    pub(crate) fn stands_in_for(&self, layer: LayerId, gfn: Gfn) -> Option<Arc<Layer<B>>> {
        let work = self.0.lock();
        let work = work.as_ref().filter(|work| work.target.layer.id() == layer)?;
        work.missing.contains(gfn).then(|| Arc::clone(&work.from))
    }

    /// What of the pages that `look` finds copied in the guest's window is not waiting: the others are the
    /// image's for the guest, too.
    pub(super) fn not_waiting(
        &self,
        window: &Arc<B::Window>,
        look: impl FnOnce() -> Vec<Run>,
    ) -> Vec<Run> {
        // What is found is still so when it is compared: replaced is under this lock only.
        let lock = self.0.lock();
        let found = look();
        match &*lock {
            Some(work) if Arc::ptr_eq(&work.source, window) => {
                found.into_iter().flat_map(|run| work.waiting.outside(run)).collect()
            }
            _ => found,
        }
    }
}

/// A guest's write to a page that waits, or a child's access to a frame that is missing.
impl<B: Backing> Resolve for CopyOut<B> {
    fn resolve(&self, gfn: Gfn, kind: FaultKind) -> Resolved {
        if let Some(work) = &mut *self.0.lock() {
            match kind.absent {
                true => work.resolve_hole(gfn),
                false => work.release(Run::one(gfn)),
            }
        }
        Resolved::Done
    }
}

fn cow_of<B: Backing>(family: &Family<B>) -> Option<&Cow<'_, B>> {
    family.backing().host_cow()
}

fn traps_of<B: Backing>(family: &Family<B>) -> Option<&Traps<'_, B>> {
    cow_of(family)?.deferring()
}

impl<B: Backing> Work<B> {
    fn traps(&self) -> &Traps<'_, B> {
        traps_of(&self.family).expect("a backing that could trap when this began")
    }

    /// Copies the next pages. Whether there are more.
    fn step(&mut self) -> bool {
        if let Some(run) = self.left.front_mut() {
            let piece = run.take_first(PIECE);
            if run.pages == 0 {
                self.left.pop_front();
            }
            self.fill(piece);
            self.waiting.inside(piece).into_iter().for_each(|part| self.replace(part));
        }
        !self.left.is_empty()
    }

    fn fill(&mut self, run: Run) {
        for part in self.missing.inside(run) {
            self.traps().fill(self.from.store(), self.target.layer.store(), part);
        }
        self.missing.remove(run);
    }

    fn fetch(&mut self, gfn: Gfn) {
        if self.missing.contains(gfn) {
            let first = gfn.0 - gfn.0 % AROUND;
            self.fill(Run::new(first, (first + AROUND).min(self.family.pages())));
        }
    }

    /// Makes a child's access to a hole possible: the layer may be an old one, in which a frame that the image
    /// names was never written. Other frames of the layer are none of the image's, and may be missing in
    /// another copy-out.
    fn resolve_hole(&mut self, gfn: Gfn) {
        self.fetch(gfn);
        self.traps().fill_holes(self.target.layer.store(), Run::one(gfn));
    }

    fn release(&mut self, run: Run) {
        for part in self.waiting.inside(run) {
            self.fill(part);
            self.waiting.remove(part);
            self.traps().release(&self.source, part);
        }
    }

    /// Has the guest share pages with the image, unless that takes mappings that there are not.
    fn replace(&mut self, run: Run) {
        if self.replaced_to != run.first.0 || run.first.0 == 0 {
            if self.mappings < 2 {
                self.release(run);
                return;
            }
            self.mappings -= 2;
        }
        if let Some(cow) = cow_of(&self.family) {
            cow.replace(&self.source, self.target.layer.store(), run);
        }
        self.waiting.remove(run);
        self.replaced_to = run.numbers().end;
    }

    fn end(&self) {
        let windows = self.children.iter().chain([&self.source]);
        windows.for_each(|window| self.traps().end(window));
    }
}
