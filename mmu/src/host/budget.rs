//! The budget of host mappings.
//!
//! A process may have `vm.max_map_count` mappings (65,530 where nobody changed it), all guests
//! together. Beyond it mmap fails, and a fault handler that cannot map leaves a guest waiting for
//! ever. So whoever may split a window later takes the mappings from this budget before.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

/// What the kernel allows when the file that tells is not readable (`DEFAULT_MAX_MAP_COUNT`).
const DEFAULT_LIMIT: usize = 65_530;
/// Mappings left to the rest of the process: heaps, stacks, libraries.
const MARGIN: usize = 2048;

/// A number of mappings that may be taken, and how many are.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    /// A budget of `limit` mappings.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0) }
    }

    /// The budget of this process: what the kernel allows, less what is in use at the first call,
    /// less a margin (an eighth of small limits).
    pub(super) fn of_process() -> Arc<Self> {
        static PROCESS: LazyLock<Arc<Budget>> = LazyLock::new(|| {
            let allowed = max_map_count();
            let margin = MARGIN.min(allowed / 8);
            Arc::new(Budget::new(allowed.saturating_sub(mappings_in_use() + margin)))
        });
        Arc::clone(&PROCESS)
    }

    /// Takes `mappings`, all or none.
    pub(super) fn reserve(&self, mappings: usize) -> bool {
        let take = |used: usize| used.checked_add(mappings).filter(|&used| used <= self.limit);
        // Relaxed: the number guards nothing but itself.
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Gives `mappings` back.
    pub(super) fn give_back(&self, mappings: usize) {
        let before = self.used.fetch_sub(mappings, Ordering::Relaxed);
        debug_assert!(before >= mappings, "{mappings} mappings given back of {before} taken");
    }

    /// How many are left.
    pub(super) fn free(&self) -> usize {
        self.limit - self.used.load(Ordering::Relaxed)
    }
}

/// How many mappings a process may have (`/proc/sys/vm/max_map_count`).
pub(super) fn max_map_count() -> usize {
    fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(DEFAULT_LIMIT)
}

/// How many mappings this process has now.
pub(super) fn mappings_in_use() -> usize {
    fs::read("/proc/self/maps").map_or(0, |maps| maps.split(|&byte| byte == b'\n').count())
}

#[cfg(test)]
mod tests;
