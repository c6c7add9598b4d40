//! A backing without a machine below: pages of two numbers, windows that trap like real ones.
//!
//! It checks what a kernel would not: that nobody copies from or into a frame that is not there,
//! and that a window is only changed where it shows something. Any call that may fail can be made
//! to fail, so that tests see every operation roll back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::backing::{Access, Backing, BackingError, HostCow, SwapPlace};
use crate::gfn::{Gfn, Run};

mod copying;
mod flaw;

use copying::copy;
pub use flaw::Flaw;

/// A page: what its two halves hold.
pub type Content = [u64; 2];

/// An access needs a fault to be answered first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trapped;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct View {
    store: usize,
    access: Access,
}

/// What a window shows, and where the host's copies in it are.
struct Window {
    views: Vec<Option<View>>,
    own: Option<usize>,
}

#[derive(Default)]
struct Objects {
    stores: Vec<Option<Vec<Content>>>,
    windows: Vec<Option<Window>>,
    swap: Vec<Option<Content>>,
    reserved: usize,
}

/// A store or window of the fake: its number. The place is reused after a drop.
pub struct Handle {
    number: usize,
    objects: Arc<Mutex<Objects>>,
    window: bool,
}

impl Handle {
    /// Its number.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut objects = self.objects.lock();
        if self.window {
            objects.windows[self.number] = None;
        } else {
            objects.stores[self.number] = None;
        }
    }
}

fn place<T>(list: &mut Vec<Option<T>>, item: T) -> usize {
    let free = list.iter().position(Option::is_none).unwrap_or(list.len());
    if free == list.len() {
        list.push(None);
    }
    list[free] = Some(item);
    free
}

/// The fake backing.
pub struct Fake {
    pages: u32,
    objects: Arc<Mutex<Objects>>,
    mappings: usize,
    /// Calls that may fail until one does; 0 for never.
    fuse: AtomicU64,
    flaw: Flaw,
    copies: bool,
}

impl Fake {
    /// A backing for guests of `pages` frames, with `mappings` host mappings to spare.
    #[must_use]
    pub fn new(pages: u32, mappings: usize) -> Self {
        let (objects, fuse) = Default::default();
        Self { pages, objects, mappings, fuse, flaw: Flaw::None, copies: false }
    }

    /// The same, but wrong.
    #[must_use]
    pub fn with(self, flaw: Flaw) -> Self {
        Self { flaw, ..self }
    }

    /// The same, with a host that copies pages at their first write.
    #[must_use]
    pub fn copying(self) -> Self {
        Self { copies: true, ..self }
    }

    /// Makes the `nth` call from now that may fail do so (1 is the next one).
    pub fn fail_at(&self, nth: u64) {
        self.fuse.store(nth, Ordering::Relaxed);
    }

    /// Whether the failure that was asked for has not come yet. Cancels it.
    pub fn disarm(&self) -> bool {
        self.fuse.swap(0, Ordering::Relaxed) > 0
    }

    /// Whether the next call is the one that is to fail.
    fn strikes(&self) -> bool {
        let lit = self.fuse.load(Ordering::Relaxed);
        if lit > 0 {
            self.fuse.store(lit - 1, Ordering::Relaxed);
        }
        lit == 1
    }

    fn may_fail(&self, operation: &'static str, at: impl ToString) -> Result<(), BackingError> {
        if !self.strikes() {
            return Ok(());
        }
        Err(BackingError {
            operation,
            place: at.to_string(),
            source: std::io::Error::other("a test asked for this failure"),
        })
    }

    /// What a device sees in a frame, past all windows.
    #[must_use]
    pub fn device_read(&self, store: &Handle, gfn: Gfn) -> Content {
        frame(&mut self.objects.lock(), store.number, gfn).to_owned()
    }

    /// What a place in the swap holds.
    ///
    /// # Panics
    /// When nothing was written there.
    #[must_use]
    pub fn swapped(&self, at: SwapPlace) -> Content {
        self.objects.lock().swap[at.0 as usize].expect("a place that was written")
    }

    /// What a device does to one half of a frame, past all windows.
    pub fn device_write(&self, store: &Handle, gfn: Gfn, half: usize, value: u64) {
        frame(&mut self.objects.lock(), store.number, gfn)[half] = value;
    }

    /// A CPU's read through a window.
    ///
    /// # Errors
    /// [`Trapped`] when the page is absent.
    pub fn cpu_read(&self, window: &Handle, gfn: Gfn) -> Result<Content, Trapped> {
        let mut objects = self.objects.lock();
        match view(&mut objects, window, gfn) {
            View { access: Access::Absent, .. } => Err(Trapped),
            View { store, .. } => Ok(*frame(&mut objects, store, gfn)),
        }
    }

    /// A CPU's write of one half of a page through a window.
    ///
    /// # Errors
    /// [`Trapped`] when the page is absent or protected.
    pub fn cpu_write(
        &self,
        window: &Handle,
        gfn: Gfn,
        half: usize,
        value: u64,
    ) -> Result<(), Trapped> {
        let mut objects = self.objects.lock();
        match view(&mut objects, window, gfn) {
            View { access: Access::Writable, store } => {
                frame(&mut objects, store, gfn)[half] = value;
                Ok(())
            }
            View { access: Access::Protected, .. } if self.copies => {
                let own = copy(&mut objects, window, gfn);
                frame(&mut objects, own, gfn)[half] = value;
                Ok(())
            }
            _ => Err(Trapped),
        }
    }

    /// What a window shows at a page: which store, and how.
    #[must_use]
    pub fn shown(&self, window: &Handle, gfn: Gfn) -> Option<(usize, Access)> {
        let view = *slot(&mut self.objects.lock(), window, gfn);
        view.map(|view| (view.store, view.access))
    }

    /// How many mappings are reserved.
    #[must_use]
    pub fn reserved(&self) -> usize {
        self.objects.lock().reserved
    }

    /// How many stores, windows and places in the swap there are.
    #[must_use]
    pub fn objects(&self) -> (usize, usize, usize) {
        let objects = self.objects.lock();
        (
            objects.stores.iter().flatten().count(),
            objects.windows.iter().flatten().count(),
            objects.swap.iter().flatten().count(),
        )
    }
}

fn frame(objects: &mut Objects, store: usize, gfn: Gfn) -> &mut Content {
    &mut objects.stores[store].as_mut().expect("a store that lives")[gfn.index()]
}

fn slot<'a>(objects: &'a mut Objects, window: &Handle, gfn: Gfn) -> &'a mut Option<View> {
    &mut objects.windows[window.number].as_mut().expect("a window that lives").views[gfn.index()]
}

fn view(objects: &mut Objects, window: &Handle, gfn: Gfn) -> View {
    slot(objects, window, gfn).expect("a window that shows the page")
}

fn set_access(objects: &mut Objects, window: &Handle, run: Run, access: Access) {
    for gfn in run.gfns() {
        slot(objects, window, gfn).as_mut().expect("a window that shows the page").access = access;
    }
}

impl Backing for Fake {
    type Store = Handle;
    type Window = Handle;

    fn new_store(&self) -> Result<Handle, BackingError> {
        self.may_fail("new_store", "")?;
        let pages = vec![Content::default(); self.pages as usize];
        let number = place(&mut self.objects.lock().stores, pages);
        Ok(Handle { number, objects: Arc::clone(&self.objects), window: false })
    }

    fn new_window(&self) -> Result<Handle, BackingError> {
        self.may_fail("new_window", "")?;
        let window = Window { views: vec![None; self.pages as usize], own: None };
        let number = place(&mut self.objects.lock().windows, window);
        Ok(Handle { number, objects: Arc::clone(&self.objects), window: true })
    }

    fn copy(&self, from: &Handle, to: &Handle, run: Run) -> Result<(), BackingError> {
        self.may_fail("copy", run)?;
        if self.flaw == Flaw::SkipsCopy {
            return Ok(());
        }
        let mut objects = self.objects.lock();
        for gfn in run.gfns() {
            let content = *frame(&mut objects, from.number, gfn);
            *frame(&mut objects, to.number, gfn) = content;
        }
        Ok(())
    }

    fn punch(&self, store: &Handle, run: Run) {
        if self.flaw == Flaw::SkipsPunch {
            return;
        }
        let mut objects = self.objects.lock();
        for gfn in run.gfns() {
            *frame(&mut objects, store.number, gfn) = Content::default();
        }
    }

    fn map(
        &self,
        window: &Handle,
        store: &Handle,
        run: Run,
        access: Access,
    ) -> Result<(), BackingError> {
        self.may_fail("map", run)?;
        let mut objects = self.objects.lock();
        for gfn in run.gfns() {
            *slot(&mut objects, window, gfn) = Some(View { store: store.number, access });
        }
        Ok(())
    }

    fn protect(&self, window: &Handle, run: Run) -> Result<(), BackingError> {
        let failed = self.may_fail("protect", run);
        if self.flaw != Flaw::SkipsProtect
            && (failed.is_ok() || self.flaw == Flaw::ProtectsAndFails)
        {
            set_access(&mut self.objects.lock(), window, run, Access::Protected);
        }
        failed
    }

    fn unprotect(&self, window: &Handle, run: Run) {
        set_access(&mut self.objects.lock(), window, run, Access::Writable);
    }

    fn make_absent(&self, window: &Handle, run: Run) -> Result<(), BackingError> {
        self.may_fail("make_absent", run)?;
        set_access(&mut self.objects.lock(), window, run, Access::Absent);
        Ok(())
    }

    fn make_present(&self, window: &Handle, run: Run) {
        set_access(&mut self.objects.lock(), window, run, Access::Protected);
    }

    fn wake(&self, _: &Handle, _: Run) {}

    fn unmap_all(&self, window: &Handle) {
        let mut objects = self.objects.lock();
        objects.windows[window.number].as_mut().expect("a window that lives").views.fill(None);
    }

    fn write_out(&self, store: &Handle, gfn: Gfn) -> Result<SwapPlace, BackingError> {
        self.may_fail("write_out", gfn)?;
        let mut objects = self.objects.lock();
        let content = *frame(&mut objects, store.number, gfn);
        let number = place(&mut objects.swap, content);
        Ok(SwapPlace(u32::try_from(number).expect("a small swap")))
    }

    fn read_in(&self, at: SwapPlace, store: &Handle, gfn: Gfn) -> Result<(), BackingError> {
        self.may_fail("read_in", gfn)?;
        let content = self.swapped(at);
        *frame(&mut self.objects.lock(), store.number, gfn) = content;
        Ok(())
    }

    fn forget(&self, at: SwapPlace) {
        let gone = self.objects.lock().swap[at.0 as usize].take();
        assert!(gone.is_some(), "a place in the swap forgotten twice");
    }

    fn reserve_mappings(&self, mappings: usize) -> bool {
        let mut objects = self.objects.lock();
        let fits = !self.strikes() && objects.reserved + mappings <= self.mappings;
        if fits {
            objects.reserved += mappings;
        }
        fits
    }

    fn return_mappings(&self, mappings: usize) {
        if self.flaw != Flaw::KeepsMappings {
            self.objects.lock().reserved -= mappings;
        }
    }

    fn free_mappings(&self) -> usize {
        self.mappings - self.objects.lock().reserved
    }

    fn host_cow(&self) -> Option<&dyn HostCow<Store = Handle, Window = Handle>> {
        self.copies.then_some(self as _)
    }
}
