//! The `hostcow` backing: the kernel copies a page at its first write, and tells nobody.
//!
//! Frames that nobody may write any more are mapped `MAP_PRIVATE`, so that a clone is one mmap for each
//! run of them, and no fault leaves the kernel. What this relies on, each with a test
//! (`host_cow/tests.rs`):
//!
//! 1. A page that the kernel copied stays where it is until something else is mapped there, also when
//!    its layer's frame is punched (`shmem_fallocate` unmaps pages of the file only, not copies).
//! 2. Page tables tell copies from pages of the file (`pagemap.rs`), and MADV_POPULATE_WRITE makes one
//!    without changing a byte.
//! 3. The copies of a window split none of its host mappings.

use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

use super::ahead;
use super::host_memory::HostMemory;
use super::pagemap;
use super::store::Store;
use super::window::Window;
use crate::backing::{Access, BackingError, Deferring, HostCow};
use crate::gfn::Run;

/// Tries of a mapping that the kernel has no memory for, a millisecond apart. Mappings are reserved.
const TRIES: u32 = 1000;

impl HostCow for HostMemory {
    type Store = Store;
    type Window = Window;

    fn own_frames(&self, window: &Window) -> Store {
        Store::of_window(window.mapping())
    }

    fn copied(&self, window: &Window, run: Run) -> Vec<Run> {
        pagemap::copied(window.mapping(), run)
    }

    fn copy_now(&self, window: &Window, run: Run) -> Result<(), BackingError> {
        self.may_fail("copying in place", run)?;
        loop {
            match window.mapping().populate(run) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => {
                    return done.map_err(|source| window.error("MADV_POPULATE_WRITE", run, source));
                }
            }
        }
    }

    fn copy_ahead(&self, window: &Window, runs: &[Run]) -> Result<(), BackingError> {
        self.may_fail("copying ahead", window.mapping().all())?;
        runs.iter().for_each(|run| ahead::touch(window.mapping(), *run));
        Ok(())
    }

    fn clear(&self, window: &Window, run: Run) -> Result<(), BackingError> {
        self.may_fail("clearing", run)?;
        let shown = window.mapping().show_zeros(run);
        shown.map_err(|source| window.error("mmap of zeros", run, source))
    }

    fn replace(&self, window: &Window, store: &Store, run: Run) {
        let mut tries = 0..TRIES;
        while let Err(error) = self.show(window, store, run, Access::Protected) {
            let again = error.source.kind() == ErrorKind::OutOfMemory && tries.next().is_some();
            assert!(again, "sharing what a guest has written: {error}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn page_out(&self, window: &Window, run: Run) {
        window.mapping().page_out(run);
    }

    fn unmap(&self, window: &Window, run: Run) {
        window.unmap(run);
    }

    fn deferring(&self) -> Option<&dyn Deferring<Store = Store, Window = Window>> {
        self.defers().then_some(self as _)
    }
}

#[cfg(test)]
mod tests;
