//! Real guest memory: what both backings have in common, and `trap`.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::bell::Bell;
use super::budget::Budget;
use super::deferring::Deferrals;
use super::faults::{FaultThread, Resolve};
use super::inject::FailureInjector;
use super::options::{BackingKind, MemoryError, MemoryOptions};
use super::probe::{HostFeatures, MissingFeature};
use super::registry::Family;
use super::store::Store;
use super::swap::Swap;
use super::uffd::Uffd;
use super::window::Window;
use super::{uffd_open, uffd_sys};
use crate::backing::{Access, Backing, BackingError, HostCow, SwapPlace};
use crate::gfn::{Gfn, Run};

/// Real memory for one family of guests: a root and its descendants. They share one swap and, under
/// `trap`, one userfaultfd and one fault thread.
///
/// Dropped last: windows that outlive it get no answer to their faults any more.
#[derive(Debug)]
pub struct HostMemory {
    pages: u32,
    /// `None` where the kernel answers faults.
    traps: Option<Traps>,
    pub(super) deferrals: Deferrals,
    refuse_huge_pages: bool,
    swap: Swap,
    budget: Arc<Budget>,
    failures: Option<Arc<FailureInjector>>,
}

/// Who answers the faults of a family.
#[derive(Debug)]
pub(super) struct Traps {
    pub(super) family: Arc<Family>,
    _faults: FaultThread,
}

impl Traps {
    /// Opens a userfaultfd with `more` features than all need.
    pub(super) fn start(features: &HostFeatures, more: u64) -> Result<Self, MemoryError> {
        let failed = |operation| move |source| MemoryError::Failed { operation, source };
        let (fd, _source) =
            uffd_open::open().map_err(|error| MissingFeature::Userfaultfd(error.to_string()))?;
        let wanted = uffd_sys::FEATURE_PAGEFAULT_FLAG_WP
            | uffd_sys::FEATURE_MISSING_SHMEM
            | uffd_sys::FEATURE_WP_HUGETLBFS_SHMEM
            | more;
        let (uffd, _features) = Uffd::handshake(fd, wanted).map_err(failed("UFFDIO_API"))?;
        let bell = Bell::new().map_err(failed("eventfd"))?;
        let family = Arc::new(Family::new(uffd, bell, features.huge_pages_unasked()));
        let faults =
            FaultThread::start(Arc::clone(&family)).map_err(failed("starting a thread"))?;
        Ok(Self { family, _faults: faults })
    }
}

impl HostMemory {
    /// Makes the backing for guests of `pages` frames each, and starts its fault thread if it has one.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Missing`] when the host cannot run it, with what to do.
    pub fn new(pages: u32, options: MemoryOptions) -> Result<Self, MemoryError> {
        let features = HostFeatures::probe();
        features.require(options.backing)?;
        let traps = match options.backing {
            BackingKind::Trap => Some(Traps::start(&features, 0)?),
            BackingKind::HostCow => None,
        };
        let budget = match options.mapping_limit {
            Some(limit) => Arc::new(Budget::new(limit)),
            None => Budget::of_process(),
        };
        Ok(Self {
            pages,
            traps,
            deferrals: Deferrals::new(options.copy_out),
            refuse_huge_pages: features.huge_pages_unasked(),
            swap: Swap::new(options.swap_directory),
            budget,
            failures: options.failures,
        })
    }

    /// Sends the faults of `window` to `handler`, those that wait already too. Without a handler
    /// faults wait; with one that is gone they are woken and ignored.
    pub fn attach(&self, window: &Window, handler: Weak<dyn Resolve>) {
        window.attach(handler);
    }

    /// Gives a page of a window up: every access to it fails from now on. For a fault that the host
    /// cannot answer.
    pub fn break_page(&self, window: &Window, gfn: Gfn) {
        window.break_page(gfn);
    }

    /// Has the handlers asked again about the faults that they deferred.
    pub fn retry_deferred(&self) {
        if let Some(traps) = &self.traps {
            traps.family.retry_deferred();
        }
    }

    /// How many pages have a deferred fault. One that is just being resolved counts still.
    #[must_use]
    pub fn deferred_count(&self) -> usize {
        self.traps.as_ref().map_or(0, |traps| traps.family.deferred.count())
    }

    /// Waits until `count` pages have a deferred fault; `false` when `timeout` came first.
    #[must_use]
    pub fn wait_deferred(&self, count: usize, timeout: Duration) -> bool {
        self.traps
            .as_ref()
            .map_or(count == 0, |traps| traps.family.deferred.wait_for(count, timeout))
    }

    /// Whether the fault thread is at it: it may then own what a guest's space owns.
    #[cfg(test)]
    pub(crate) fn is_answering(&self) -> bool {
        let traps = self.traps.as_ref().or(self.deferrals.started());
        traps.is_some_and(|traps| traps.family.is_asking())
    }

    /// How many evicted frames the swap holds.
    #[must_use]
    pub fn swapped_frames(&self) -> usize {
        self.swap.used_places()
    }

    /// Shows frames of a memfd.
    pub(super) fn show(
        &self,
        window: &Window,
        store: &Store,
        run: Run,
        access: Access,
    ) -> Result<(), BackingError> {
        let file = store.file().map_err(|source| window.error("mmap of a layer", run, source))?;
        window.show(file, run, access)
    }

    /// Fails when a test wants it to.
    pub(super) fn may_fail(
        &self,
        operation: &'static str,
        place: impl ToString,
    ) -> Result<(), BackingError> {
        self.failures.as_ref().map_or(Ok(()), |failures| failures.check(operation, place))
    }
}

impl Backing for HostMemory {
    type Store = Store;
    type Window = Window;

    fn new_store(&self) -> Result<Store, BackingError> {
        self.may_fail("making a layer", self.pages)?;
        Store::new(self.pages)
    }

    fn new_window(&self) -> Result<Window, BackingError> {
        self.may_fail("making a window", self.pages)?;
        match &self.traps {
            Some(traps) => Window::new(Arc::clone(&traps.family), self.pages),
            None => Window::without_traps(self.pages, self.refuse_huge_pages),
        }
    }

    fn copy(&self, from: &Store, to: &Store, run: Run) -> Result<(), BackingError> {
        self.may_fail("copying", run)?;
        to.copy_from(from, run).map_err(|source| BackingError {
            operation: "pwrite to a layer",
            place: run.to_string(),
            source,
        })
    }

    fn punch(&self, store: &Store, run: Run) {
        store.punch(run);
    }

    fn map(
        &self,
        window: &Window,
        store: &Store,
        run: Run,
        access: Access,
    ) -> Result<(), BackingError> {
        self.may_fail("mapping", run)?;
        self.show(window, store, run, access)
    }

    fn protect(&self, window: &Window, run: Run) -> Result<(), BackingError> {
        self.may_fail("protecting", run)?;
        window.protect(run)
    }

    fn unprotect(&self, window: &Window, run: Run) {
        window.unprotect(run);
    }

    fn make_absent(&self, window: &Window, run: Run) -> Result<(), BackingError> {
        self.may_fail("making absent", run)?;
        window.make_absent(run)
    }

    fn make_present(&self, window: &Window, run: Run) {
        window.make_present(run);
    }

    fn wake(&self, window: &Window, run: Run) {
        window.wake(run);
    }

    fn unmap_all(&self, window: &Window) {
        window.unmap_all();
    }

    fn write_out(&self, store: &Store, gfn: Gfn) -> Result<SwapPlace, BackingError> {
        self.may_fail("writing to the swap", gfn)?;
        self.swap.write_out(store, gfn)
    }

    fn read_in(&self, place: SwapPlace, store: &Store, gfn: Gfn) -> Result<(), BackingError> {
        self.may_fail("reading from the swap", gfn)?;
        self.swap.read_in(place, store, gfn)
    }

    fn forget(&self, place: SwapPlace) {
        self.swap.forget(place);
    }

    fn reserve_mappings(&self, mappings: usize) -> bool {
        let struck = self.failures.as_ref().is_some_and(|failures| failures.strikes());
        !struck && self.budget.reserve(mappings)
    }

    fn return_mappings(&self, mappings: usize) {
        self.budget.give_back(mappings);
    }

    fn free_mappings(&self) -> usize {
        self.budget.free()
    }

    fn pins_changed(&self) {
        if let Some(traps) = &self.traps {
            traps.family.pins_changed();
        }
    }

    fn host_cow(&self) -> Option<&dyn HostCow<Store = Store, Window = Window>> {
        self.traps.is_none().then_some(self as _)
    }
}

#[cfg(test)]
mod tests;
