//! Faults that the rules want to wait: each page at most once, so the list is bounded by the pages.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::faults::FaultKind;

/// The deferred faults of one family, by host virtual address of the page.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    pages: Mutex<BTreeMap<usize, FaultKind>>,
    grew: Condvar,
}

impl Deferred {
    /// Keeps a fault. One that is kept for the same page already is joined with it.
    pub(super) fn keep(&self, page: usize, kind: FaultKind) {
        let mut pages = self.pages.lock();
        pages
            .entry(page)
            .and_modify(|kept| {
                kept.write |= kind.write;
                kept.absent |= kind.absent;
            })
            .or_insert(kind);
        self.grew.notify_all();
    }

    /// Forgets the fault of a page, which is resolved.
    pub(super) fn forget(&self, page: usize) {
        self.pages.lock().remove(&page);
    }

    /// Forgets all faults in a range of addresses.
    pub(super) fn forget_range(&self, addresses: Range<usize>) {
        self.pages.lock().retain(|page, _| !addresses.contains(page));
    }

    /// The faults that are kept now.
    pub(super) fn all(&self) -> Vec<(usize, FaultKind)> {
        self.pages.lock().iter().map(|(&page, &kind)| (page, kind)).collect()
    }

    /// How many faults are kept.
    pub(super) fn count(&self) -> usize {
        self.pages.lock().len()
    }

    /// Waits until `count` faults are kept; `false` when `timeout` came first.
    pub(super) fn wait_for(&self, count: usize, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut pages = self.pages.lock();
        while pages.len() < count {
            if self.grew.wait_until(&mut pages, deadline).timed_out() {
                return pages.len() >= count;
            }
        }
        true
    }
}
