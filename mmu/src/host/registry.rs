//! Which window an address lies in, and what all windows of a family share.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use parking_lot::RwLock;

use super::bell::Bell;
use super::deferred::Deferred;
use super::faults::{FaultKind, Resolve};
use super::uffd::Uffd;
use crate::gfn::{Gfn, PAGE_SIZE};

/// A window, as the fault thread knows it.
#[derive(Debug)]
struct Entry {
    len_bytes: usize,
    handler: Option<Weak<dyn Resolve>>,
}

/// What the windows of one family and its fault thread share.
#[derive(Debug)]
pub(super) struct Family {
    /// Where faults of all windows come from.
    pub(super) uffd: Uffd,
    /// Faults that wait for the rules.
    pub(super) deferred: Deferred,
    /// Windows have to refuse huge pages, since this host gives them unasked.
    pub(super) refuse_huge_pages: bool,
    windows: RwLock<BTreeMap<usize, Entry>>,
    bell: Bell,
    stopping: AtomicBool,
    /// A handler is being asked, or faults are deferred: whoever lets a pin go must ring.
    unsettled: AtomicBool,
}

impl Family {
    /// A family without windows.
    pub(super) fn new(uffd: Uffd, bell: Bell, refuse_huge_pages: bool) -> Self {
        Self {
            uffd,
            deferred: Deferred::default(),
            refuse_huge_pages,
            windows: RwLock::default(),
            bell,
            stopping: AtomicBool::new(false),
            unsettled: AtomicBool::new(false),
        }
    }

    /// Makes a window at `addresses` known, with `handler` or with nobody attached.
    pub(super) fn add(&self, addresses: Range<usize>, handler: Option<Weak<dyn Resolve>>) {
        let entry = Entry { len_bytes: addresses.len(), handler };
        self.windows.write().insert(addresses.start, entry);
    }

    /// Sends faults of the window at `start` to `handler`, those from before too.
    pub(super) fn attach(&self, start: usize, handler: Weak<dyn Resolve>) {
        if let Some(entry) = self.windows.write().get_mut(&start) {
            entry.handler = Some(handler);
        }
        self.retry_deferred();
    }

    /// Forgets the window at `addresses`, with its deferred faults.
    pub(super) fn remove(&self, addresses: Range<usize>) {
        let mut windows = self.windows.write();
        windows.remove(&addresses.start);
        // Under the same lock as `defer`, so that none is kept for a window that is gone.
        self.deferred.forget_range(addresses);
    }

    /// Who resolves a fault at `page`, and which guest frame that is. `None`: no such window.
    /// `Some((_, None))`: nobody is attached yet.
    pub(super) fn find(&self, page: usize) -> Option<(Gfn, Option<Weak<dyn Resolve>>)> {
        let windows = self.windows.read();
        let (gfn, entry) = locate(&windows, page)?;
        Some((gfn, entry.handler.clone()))
    }

    /// Keeps a fault for later, unless its window is gone.
    pub(super) fn defer(&self, page: usize, kind: FaultKind) {
        let windows = self.windows.read();
        if locate(&windows, page).is_some() {
            self.deferred.keep(page, kind);
        }
    }

    /// Has the fault thread try deferred faults again.
    pub(super) fn retry_deferred(&self) {
        self.bell.ring();
    }

    /// A pin went away: has deferred faults tried again, and costs next to nothing without any.
    ///
    /// | fault thread | whoever unpins |
    /// | --- | --- |
    /// | unsettled = true; fence | count down; fence |
    /// | count? still pinned: defer | unsettled? then ring |
    ///
    /// One of them sees what the other did, so that no fault is left deferred.
    pub(super) fn pins_changed(&self) {
        fence(Ordering::SeqCst);
        if self.unsettled.load(Ordering::Relaxed) {
            self.bell.ring();
        }
    }

    /// Called by the fault thread before it asks a handler.
    pub(super) fn begin_asking(&self) {
        self.unsettled.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Called by the fault thread, which alone defers, after the answer was dealt with.
    pub(super) fn end_asking(&self) {
        self.unsettled.store(self.deferred.count() > 0, Ordering::Release);
    }

    /// Whether the fault thread is between these two, or has deferred faults.
    #[cfg(test)]
    pub(super) fn is_asking(&self) -> bool {
        self.unsettled.load(Ordering::Acquire)
    }

    /// Has the fault thread end.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.bell.ring();
    }

    /// Whether the fault thread is to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// What interrupts the fault thread's sleep.
    pub(super) fn bell(&self) -> &Bell {
        &self.bell
    }
}

fn locate(windows: &BTreeMap<usize, Entry>, page: usize) -> Option<(Gfn, &Entry)> {
    let (&start, entry) = windows.range(..=page).next_back()?;
    let offset = page - start;
    let gfn = Gfn(u32::try_from(offset / PAGE_SIZE).ok()?);
    (offset < entry.len_bytes).then_some((gfn, entry))
}
