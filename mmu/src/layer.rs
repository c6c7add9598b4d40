//! Layers: where frames live, each with its count.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::backing::Backing;
use crate::count::{Count, Holder, Saturated, Tally};
use crate::gfn::{Gfn, Run};
use crate::table::LayerId;

#[cfg(test)]
mod tests;

/// Counts per chunk: one host page of them.
const CHUNK: usize = 512;

/// The counts of a layer's frames. A chunk is made when a frame in it is first claimed, so that the
/// layer of an idle clone costs next to nothing.
struct Counts {
    pages: usize,
    chunks: Box<[OnceLock<Box<[Count]>>]>,
}

impl Counts {
    fn new(pages: u32) -> Self {
        let pages = pages as usize;
        let chunks = (0..pages.div_ceil(CHUNK)).map(|_| OnceLock::new()).collect();
        Self { pages, chunks }
    }

    fn existing(&self, gfn: Gfn) -> Option<&Count> {
        self.chunks[gfn.index() / CHUNK].get().map(|chunk| &chunk[gfn.index() % CHUNK])
    }

    fn get_or_make(&self, gfn: Gfn) -> &Count {
        let chunk = self.chunks[gfn.index() / CHUNK]
            .get_or_init(|| (0..CHUNK.min(self.pages)).map(|_| Count::default()).collect());
        &chunk[gfn.index() % CHUNK]
    }
}

/// A sparse store as large as guest memory, and one count per frame.
///
/// The frame for guest frame number g lies at offset g, so that neighbours in a guest are
/// neighbours in the layer and their mappings merge. A slot whose count is free is a hole, and no
/// window leads there.
pub struct Layer<B: Backing> {
    id: LayerId,
    backing: Arc<B>,
    store: B::Store,
    counts: Counts,
    live: AtomicUsize,
    retired: AtomicBool,
}

impl<B: Backing> Layer<B> {
    /// A layer of `pages` frames, all free, over `store`.
    pub(crate) fn new(id: LayerId, backing: Arc<B>, store: B::Store, pages: u32) -> Self {
        let (counts, live, retired) =
            (Counts::new(pages), AtomicUsize::new(0), AtomicBool::new(false));
        Self { id, backing, store, counts, live, retired }
    }

    /// Its name in the family.
    #[must_use]
    pub fn id(&self) -> LayerId {
        self.id
    }

    /// Where its frames live.
    #[must_use]
    pub fn store(&self) -> &B::Store {
        &self.store
    }

    /// The host mechanisms below.
    pub(crate) fn backing(&self) -> &Arc<B> {
        &self.backing
    }

    /// Its place in the pool is gone, and may be another layer's: no entry names it any more.
    pub(crate) fn retire(&self) {
        // Whoever finds an entry that names the next layer with this number has taken locks since.
        self.retired.store(true, Ordering::Relaxed);
    }

    /// Whether it has lost its place in the pool.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// How many frames are held. 0 is exact for a layer that nobody allocates from, and says that
    /// all its slots are free.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }

    /// Whether the slot may be claimed.
    #[must_use]
    pub fn is_free(&self, gfn: Gfn) -> bool {
        self.counts.existing(gfn).is_none_or(Count::is_free)
    }

    /// Whether all slots of the runs may be claimed.
    pub(crate) fn fits(&self, runs: &[Run]) -> bool {
        self.live() == 0 || runs.iter().flat_map(|run| run.gfns()).all(|gfn| self.is_free(gfn))
    }

    /// Takes a free slot for `holder`. `false` when it is not free.
    pub(crate) fn claim(&self, gfn: Gfn, holder: Holder) -> bool {
        let claimed = self.counts.get_or_make(gfn).claim(holder);
        if claimed {
            self.live.fetch_add(1, Ordering::Relaxed);
        }
        claimed
    }

    /// Takes a slot that was set aside for `holder`, and that nobody else may take.
    ///
    /// # Panics
    /// When it is not free: two guests would share a frame that both may write.
    pub(crate) fn take(&self, gfn: Gfn, holder: Holder) {
        self.take_run(Run::one(gfn), holder);
    }

    /// [`take`](Self::take)s each slot of a run.
    pub(crate) fn take_run(&self, run: Run, holder: Holder) {
        for gfn in run.gfns() {
            let claimed = self.counts.get_or_make(gfn).claim(holder);
            assert!(claimed, "{gfn}: the slot that was set aside is not free");
        }
        self.live.fetch_add(run.pages as usize, Ordering::Relaxed);
    }

    /// Takes a slot for `holder` that nobody else may take, but that a pin may still keep: under rules
    /// that take a page away from under its device.
    pub(crate) fn take_back(&self, gfn: Gfn, holder: Holder) {
        while !self.claim(gfn, holder) && !self.counts.get_or_make(gfn).join(holder) {
            // The last pin has gone, and somebody is about to free the slot.
            std::thread::yield_now();
        }
    }

    /// Adds a holder to a frame that the caller keeps alive.
    pub(crate) fn add(&self, gfn: Gfn, holder: Holder) -> Result<(), Saturated> {
        self.counts.get_or_make(gfn).add(holder)
    }

    /// [`add`](Self::add)s a holder to each frame of a run, up to the first that has too many, which is named.
    pub(crate) fn add_run(&self, run: Run, holder: Holder) -> Result<(), Gfn> {
        run.gfns().try_for_each(|gfn| self.add(gfn, holder).map_err(|Saturated| gfn))
    }

    /// Removes a holder from each frame of a run, and punches those that nobody else holds in as
    /// few calls as may be. Whether the last frame of the layer went.
    ///
    /// [`Family::let_go`](crate::Family) is for callers: it also removes a layer that nobody needs
    /// any more.
    pub(crate) fn let_go(&self, run: Run, holder: Holder) -> bool {
        let mut emptied = false;
        let mut dying: Option<Run> = None;
        for gfn in run.gfns() {
            if self.counts.get_or_make(gfn).let_go(holder) {
                dying.get_or_insert(Run { first: gfn, pages: 0 }).pages += 1;
            } else if let Some(run) = dying.take() {
                emptied |= self.reclaim(run);
            }
        }
        if let Some(run) = dying {
            emptied |= self.reclaim(run);
        }
        emptied
    }

    fn reclaim(&self, dying: Run) -> bool {
        self.backing.punch(&self.store, dying);
        for gfn in dying.gfns() {
            self.counts.get_or_make(gfn).free();
        }
        // Release, and Acquire in `live`: who finds 0 finds all slots free.
        let pages = dying.pages as usize;
        self.live.fetch_sub(pages, Ordering::Release) == pages
    }

    /// Who holds the frame now.
    #[must_use]
    pub fn tally(&self, gfn: Gfn) -> Tally {
        self.counts.existing(gfn).map_or_else(Tally::default, Count::tally)
    }
}
