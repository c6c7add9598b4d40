//! A window: where one guest's CPUs see their memory.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use super::faults::Resolve;
use super::mapping::Mapping;
use super::memory::{self, WindowMemory};
use super::registry::Family;
use super::uffd::Watch;
use crate::backing::{Access, BackingError};
use crate::gfn::{Gfn, Run};

/// Tries of a registration that the kernel has no memory for, a millisecond apart.
const REGISTER_TRIES: u32 = 100;

/// A contiguous range of host virtual addresses as large as the guest's memory, which KVM's memory
/// slot points at. See the docs of this module's parent for how it traps.
///
/// Nothing here touches the memory itself: an access could fault, and the fault's handler needs the
/// lock that the caller holds.
#[derive(Debug)]
pub struct Window {
    mapping: Arc<Mapping>,
    /// Who answers its faults; `None` where the kernel does.
    traps: Option<Arc<Family>>,
    refuse_huge_pages: bool,
}

impl Window {
    /// Takes the addresses for `pages` frames and shows nothing there. Faults go to `traps`.
    pub(super) fn new(traps: Arc<Family>, pages: u32) -> Result<Self, BackingError> {
        let refuse_huge_pages = traps.refuse_huge_pages;
        let mapping = Arc::new(Self::reserve(pages)?);
        let window = Self { mapping, traps: Some(Arc::clone(&traps)), refuse_huge_pages };
        traps.add(window.addresses(), None);
        Ok(window)
    }

    /// The same, for a window whose faults the kernel answers.
    pub(super) fn without_traps(pages: u32, refuse_huge_pages: bool) -> Result<Self, BackingError> {
        Ok(Self { mapping: Arc::new(Self::reserve(pages)?), traps: None, refuse_huge_pages })
    }

    fn reserve(pages: u32) -> Result<Mapping, BackingError> {
        let len_bytes = Run::new(0, pages).len_bytes();
        Mapping::reserve(len_bytes).map_err(|source| BackingError {
            operation: "mmap of a window's addresses",
            place: format!("{len_bytes:#x} bytes"),
            source,
        })
    }

    /// The host virtual addresses, in bytes: what KVM_SET_USER_MEMORY_REGION is given.
    #[must_use]
    pub fn addresses(&self) -> Range<usize> {
        self.mapping.start()..self.mapping.start() + self.mapping.len_bytes()
    }

    /// The host virtual address of a frame. An access there is like a guest's own: it may fault,
    /// so the caller must not hold a lock that the fault's handler takes.
    ///
    /// # Panics
    ///
    /// If the guest has no such frame.
    #[must_use]
    pub fn address(&self, gfn: Gfn) -> *mut u8 {
        self.mapping.address(Run::one(gfn))
    }

    /// The guest's memory for the VMM's own accesses. They fault like the guest's, and so go through
    /// the rules. After `unmap_all` an access is a segmentation fault.
    #[must_use]
    pub fn guest_memory(&self) -> WindowMemory {
        memory::view(Arc::clone(&self.mapping))
    }

    /// Where the pages are.
    pub(super) fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// Shows `run` of `file`. See [`Backing::map`](crate::Backing::map).
    ///
    /// Other threads see the old frame or the new one, never a gap. What is shown writable may be
    /// written at once, before it is registered: there is nothing to trap yet. The other two are
    /// for windows that no CPU runs in, since a trap is open between mmap and write-protect.
    pub(super) fn show(&self, file: &File, run: Run, access: Access) -> Result<(), BackingError> {
        let private = self.traps.is_none() && access != Access::Writable;
        let shown = match private {
            true => self.mapping.show_private(file, run),
            false => self.mapping.show(file, run),
        };
        shown.map_err(|source| self.error("mmap of a layer", run, source))?;
        if self.refuse_huge_pages {
            self.mapping.refuse_huge_pages(run);
        }
        let Some(traps) = &self.traps else { return Ok(()) };
        self.watch(traps, run, Watch::of(access))?;
        match access {
            Access::Writable => Ok(()),
            Access::Protected | Access::Absent => self.protect(run),
        }
    }

    /// Makes writes trap, also to pages that are not there yet.
    pub(super) fn protect(&self, run: Run) -> Result<(), BackingError> {
        self.traps(run)?
            .uffd
            .write_protect(self.start(run), run.len_bytes(), true)
            .map_err(|source| self.error("UFFDIO_WRITEPROTECT", run, source))
    }

    /// Lets writes through. Who waits is woken by whoever answers the fault, once all of it is done.
    /// Where nothing is registered any more, nobody waits for more than to be woken.
    pub(super) fn unprotect(&self, run: Run) {
        let Some(traps) = &self.traps else { return };
        let (start, len) = (self.start(run), run.len_bytes());
        while let Err(error) = traps.uffd.write_protect(start, len, false) {
            if error.kind() != ErrorKind::OutOfMemory {
                self.wake(run);
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Makes every access trap from when the store has no pages there.
    pub(super) fn make_absent(&self, run: Run) -> Result<(), BackingError> {
        self.watch(self.traps(run)?, run, Watch::WritesAndHoles)?;
        self.protect(run)
    }

    /// Lets reads through again. A page that the store still lacks becomes zeros, at once.
    ///
    /// Who waits is woken by whoever answers the fault, once all of it is done: a writer that went
    /// on here would only fault again, on the protection that is about to be lifted.
    pub(super) fn make_present(&self, run: Run) {
        let Some(traps) = &self.traps else { return };
        for gfn in run.gfns() {
            // It fails where nothing is registered any more: nobody waits there.
            let _ = traps.uffd.fill_with_zeros(self.start(Run::one(gfn)));
        }
    }

    /// Wakes who waits in a fault on `run`.
    pub(super) fn wake(&self, run: Run) {
        if let Some(traps) = &self.traps {
            traps.uffd.wake(self.start(run), run.len_bytes());
        }
    }

    /// Shows nothing any more, and stops handling faults.
    ///
    /// # Panics
    ///
    /// If the kernel refuses to replace all mappings by a single one, which takes no more of
    /// anything: going on would leave a guest with frames that are about to be freed.
    pub(super) fn unmap_all(&self) {
        if let Some(traps) = &self.traps {
            traps.remove(self.addresses());
        }
        self.unmap(self.mapping.all());
        self.wake(self.mapping.all());
    }

    /// Shows nothing in `run` any more.
    ///
    /// # Panics
    ///
    /// If the kernel refuses: as for [`unmap_all`](Self::unmap_all).
    pub(super) fn unmap(&self, run: Run) {
        if let Err(error) = self.mapping.break_run(run) {
            panic!(
                "mmap(PROT_NONE) over {run} of the window at {:#x}: {error}",
                self.mapping.start()
            );
        }
    }

    /// Makes every access to a page fail from now on, instead of waiting for an answer that cannot
    /// be given: `KVM_RUN` returns EFAULT.
    pub(super) fn break_page(&self, gfn: Gfn) {
        if self.mapping.break_run(Run::one(gfn)).is_ok() {
            self.wake(Run::one(gfn));
        }
    }

    /// Sends faults to a handler, where there are any.
    pub(super) fn attach(&self, handler: Weak<dyn Resolve>) {
        if let Some(traps) = &self.traps {
            traps.attach(self.mapping.start(), handler);
        }
    }

    /// Has faults of `run` reported to `traps`.
    pub(super) fn watch(&self, traps: &Family, run: Run, watch: Watch) -> Result<(), BackingError> {
        let register = || traps.uffd.register(self.start(run), run.len_bytes(), watch);
        let mut tried = register();
        for _ in 1..REGISTER_TRIES {
            match &tried {
                Err(error) if error.kind() == ErrorKind::OutOfMemory => {
                    thread::sleep(Duration::from_millis(1));
                    tried = register();
                }
                _ => break,
            }
        }
        tried.map_err(|source| self.error("UFFDIO_REGISTER", run, source))
    }

    /// Who answers faults, for what cannot be done without.
    fn traps(&self, run: Run) -> Result<&Family, BackingError> {
        self.traps.as_deref().ok_or_else(|| {
            self.error(
                "trapping accesses without a userfaultfd",
                run,
                ErrorKind::Unsupported.into(),
            )
        })
    }

    /// The host virtual address of the first byte of `run`.
    pub(super) fn start(&self, run: Run) -> usize {
        self.mapping.address(run) as usize
    }

    pub(super) fn error(
        &self,
        operation: &'static str,
        run: Run,
        source: io::Error,
    ) -> BackingError {
        let start = self.mapping.start() + run.offset();
        let place = format!("{run}, host addresses {:#x}..{:#x}", start, start + run.len_bytes());
        BackingError { operation, place, source }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let Some(traps) = &self.traps else { return };
        if Arc::strong_count(&self.mapping) > 1 {
            // Views of the memory outlive the window: what they show must not wait for ever.
            self.unmap_all();
        } else {
            traps.remove(self.addresses());
        }
    }
}
