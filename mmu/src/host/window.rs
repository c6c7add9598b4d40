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
    family: Arc<Family>,
}

impl Window {
    /// Takes the addresses for `pages` frames and shows nothing there.
    pub(super) fn new(family: Arc<Family>, pages: u32) -> Result<Self, BackingError> {
        let len_bytes = Run::new(0, pages).len_bytes();
        let mapping = Mapping::reserve(len_bytes).map_err(|source| BackingError {
            operation: "mmap of a window's addresses",
            place: format!("{len_bytes:#x} bytes"),
            source,
        })?;
        let window = Self { mapping: Arc::new(mapping), family };
        window.family.add(window.addresses());
        Ok(window)
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

    /// Shows `run` of `file`. See [`Backing::map`](crate::Backing::map).
    ///
    /// Other threads see the old frame or the new one, never a gap. What is shown writable may be
    /// written at once, before it is registered: there is nothing to trap yet. The other two are
    /// for windows that no CPU runs in, since they are open between mmap and write-protect.
    pub(super) fn show(&self, file: &File, run: Run, access: Access) -> Result<(), BackingError> {
        self.mapping
            .show(file, run)
            .map_err(|source| self.error("mmap of a layer", run, source))?;
        if self.family.refuse_huge_pages {
            self.mapping.refuse_huge_pages(run);
        }
        self.watch(run, access)?;
        match access {
            Access::Writable => Ok(()),
            Access::Protected | Access::Absent => self.protect(run),
        }
    }

    /// Makes writes trap, also to pages that are not there yet.
    pub(super) fn protect(&self, run: Run) -> Result<(), BackingError> {
        self.family
            .uffd
            .write_protect(self.start(run), run.len_bytes(), true)
            .map_err(|source| self.error("UFFDIO_WRITEPROTECT", run, source))
    }

    /// Lets writes through. Who waits is woken by whoever answers the fault, once all of it is done.
    /// Where nothing is registered any more, nobody waits for more than to be woken.
    pub(super) fn unprotect(&self, run: Run) {
        let (start, len) = (self.start(run), run.len_bytes());
        while let Err(error) = self.family.uffd.write_protect(start, len, false) {
            if error.kind() != ErrorKind::OutOfMemory {
                self.wake(run);
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Makes every access trap from when the store has no pages there.
    pub(super) fn make_absent(&self, run: Run) -> Result<(), BackingError> {
        self.watch(run, Access::Absent)?;
        self.protect(run)
    }

    /// Lets reads through again. A page that the store still lacks becomes zeros, at once.
    ///
    /// Who waits is woken by whoever answers the fault, once all of it is done: a writer that went
    /// on here would only fault again, on the protection that is about to be lifted.
    pub(super) fn make_present(&self, run: Run) {
        for gfn in run.gfns() {
            // It fails where nothing is registered any more: nobody waits there.
            let _ = self.family.uffd.fill_with_zeros(self.start(Run::one(gfn)));
        }
    }

    /// Wakes who waits in a fault on `run`.
    pub(super) fn wake(&self, run: Run) {
        self.family.uffd.wake(self.start(run), run.len_bytes());
    }

    /// Shows nothing any more, and stops handling faults.
    ///
    /// # Panics
    ///
    /// If the kernel refuses to replace all mappings by a single one, which takes no more of
    /// anything: going on would leave a guest with frames that are about to be freed.
    pub(super) fn unmap_all(&self) {
        self.family.remove(self.addresses());
        if let Err(error) = self.mapping.clear() {
            panic!("mmap(PROT_NONE) over the window at {:#x}: {error}", self.mapping.start());
        }
        self.family.uffd.wake(self.mapping.start(), self.mapping.len_bytes());
    }

    /// Makes every access to a page fail from now on, instead of waiting for an answer that cannot
    /// be given: `KVM_RUN` returns EFAULT.
    pub(super) fn break_page(&self, gfn: Gfn) {
        if self.mapping.break_run(Run::one(gfn)).is_ok() {
            self.wake(Run::one(gfn));
        }
    }

    /// Sends faults to a handler.
    pub(super) fn attach(&self, handler: Weak<dyn Resolve>) {
        self.family.attach(self.mapping.start(), handler);
    }

    fn watch(&self, run: Run, access: Access) -> Result<(), BackingError> {
        let watch = match access {
            Access::Writable | Access::Protected => Watch::Writes,
            Access::Absent => Watch::WritesAndHoles,
        };
        let register = || self.family.uffd.register(self.start(run), run.len_bytes(), watch);
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

    fn start(&self, run: Run) -> usize {
        self.mapping.address(run) as usize
    }

    fn error(&self, operation: &'static str, run: Run, source: io::Error) -> BackingError {
        let start = self.mapping.start() + run.offset();
        let place = format!("{run}, host addresses {:#x}..{:#x}", start, start + run.len_bytes());
        BackingError { operation, place, source }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        if Arc::strong_count(&self.mapping) > 1 {
            // Views of the memory outlive the window: what they show must not wait for ever.
            self.unmap_all();
        } else {
            self.family.remove(self.addresses());
        }
    }
}
