//! Forks under `hostcow` that return before all is copied: userfaultfd makes writes of the parent wait, and
//! accesses of children to frames that have no bytes yet.
//!
//! What this relies on, beyond what `trap` does (each with a test, `deferring/tests.rs`):
//!
//! 1. Protection of a private mapping holds for pages that the kernel copied, for those of the file, and
//!    for those that are not there yet (a marker, Linux 6.4 for zeros: UFFD_FEATURE_WP_UNPOPULATED). A
//!    write to one of the file is copied first and waits then.
//! 2. A hole of the file is reported in a private mapping, too, for reads and for writes.
//! 3. pwrite(2) of a whole page to a hole shows others nothing, or all of it: the page is locked from when
//!    it is found until it is full (`generic_perform_write`, `shmem_write_begin`).
//! 4. UFFDIO_UNREGISTER lifts all protection of the range, and wakes who waits.

use std::io::{self, ErrorKind};
use std::sync::{OnceLock, Weak};
use std::thread;
use std::time::Duration;

use super::host_memory::{HostMemory, Traps};
use super::options::CopyOutOptions;
use super::probe::HostFeatures;
use super::store::Store;
use super::uffd::Watch;
use super::uffd_sys;
use super::window::Window;
use crate::backing::{BackingError, Deferring};
use crate::gfn::Run;
use crate::resolve::Resolve;

#[cfg(test)]
mod tests;

/// Tries after which somebody is told that memory is wanted, a millisecond apart.
const PATIENCE: u32 = 1000;

/// What copy-outs in the background take, made when the first one begins.
#[derive(Debug)]
pub(super) struct Deferrals {
    options: CopyOutOptions,
    traps: OnceLock<Option<Traps>>,
}

impl Deferrals {
    pub(super) fn new(options: CopyOutOptions) -> Self {
        Self { options, traps: OnceLock::new() }
    }

    /// Who answers, where the host has what it takes; otherwise forks copy before they return.
    fn traps(&self) -> Option<&Traps> {
        let start = || {
            let features = HostFeatures::probe();
            features.require_background_copies().ok()?;
            Traps::start(&features, uffd_sys::FEATURE_WP_UNPOPULATED).ok()
        };
        match self.options.at_once {
            true => None,
            false => self.traps.get_or_init(start).as_ref(),
        }
    }

    #[cfg(test)]
    pub(super) fn started(&self) -> Option<&Traps> {
        self.traps.get()?.as_ref()
    }
}

impl HostMemory {
    pub(super) fn defers(&self) -> bool {
        self.deferrals.traps().is_some()
    }

    fn deferral_traps(&self) -> &Traps {
        self.deferrals.traps().expect("what was started goes on")
    }

    /// Registers `runs` of a window for faults that `answer` is asked about.
    fn watch(
        &self,
        window: &Window,
        runs: &[Run],
        watch: Watch,
        answer: Weak<dyn Resolve>,
    ) -> Result<(), BackingError> {
        let family = &self.deferral_traps().family;
        family.add(window.addresses(), Some(answer));
        runs.iter().try_for_each(|run| window.watch(family, *run, watch))
    }
}

impl Deferring for HostMemory {
    type Store = Store;
    type Window = Window;

    fn least_pages(&self) -> usize {
        self.deferrals.options.background_from
    }

    fn trap_writes(
        &self,
        window: &Window,
        runs: &[Run],
        answer: Weak<dyn Resolve>,
    ) -> Result<(), BackingError> {
        self.may_fail("protecting", window.mapping().all())?;
        let uffd = &self.deferral_traps().family.uffd;
        let protect = |run: &Run| {
            uffd.write_protect(window.start(*run), run.len_bytes(), true)
                .map_err(|source| window.error("UFFDIO_WRITEPROTECT", *run, source))
        };
        // All of the window: no mapping is torn apart.
        let done = self
            .watch(window, &[window.mapping().all()], Watch::Writes, answer)
            .and_then(|()| runs.iter().try_for_each(protect));
        if done.is_err() {
            self.end(window);
        }
        done
    }

    fn trap_holes(
        &self,
        window: &Window,
        runs: &[Run],
        answer: Weak<dyn Resolve>,
    ) -> Result<(), BackingError> {
        self.may_fail("waiting for frames", window.mapping().all())?;
        let done = self.watch(window, runs, Watch::Holes, answer);
        if done.is_err() {
            self.end(window);
        }
        done
    }

    fn fill(&self, from: &Store, to: &Store, run: Run) {
        match self.deferrals.options.torn {
            true => to.copy_torn(from, run),
            false => insist("copying what a guest wrote", || to.copy_data(from, run)),
        }
    }

    fn fill_holes(&self, store: &Store, run: Run) {
        insist("making a page of zeros", || store.fill_holes(run));
    }

    fn release(&self, window: &Window, run: Run) {
        let (start, len) = (window.start(run), run.len_bytes());
        let uffd = &self.deferral_traps().family.uffd;
        insist("UFFDIO_WRITEPROTECT", || uffd.write_protect(start, len, false));
        insist("MADV_POPULATE_WRITE", || window.mapping().populate(run));
    }

    fn end(&self, window: &Window) {
        let family = &self.deferral_traps().family;
        let (start, len) = (window.mapping().start(), window.mapping().len_bytes());
        insist("UFFDIO_UNREGISTER", || family.uffd.unregister(start, len));
        family.remove(window.addresses());
    }

    fn in_background(&self, work: Box<dyn FnOnce() + Send>) {
        if !self.deferrals.options.on_demand {
            // Where there is no thread, the next who needs all of it does the work.
            let _ = thread::Builder::new().name("pincow-copy-out".into()).spawn(work);
        }
    }
}

/// Does what only a lack of memory may keep from being done, and what nobody can do without.
fn insist(what: &str, mut attempt: impl FnMut() -> io::Result<()>) {
    let mut tries: u32 = 0;
    while let Err(error) = attempt() {
        if error.kind() == ErrorKind::Interrupted {
            continue;
        }
        tries = tries.saturating_add(1);
        if tries == PATIENCE {
            eprintln!("pincow: a guest waits for this host: {what}: {error}");
        }
        thread::sleep(Duration::from_millis(1));
    }
}
