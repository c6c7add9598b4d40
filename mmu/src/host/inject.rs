//! Failures on demand, so that tests see what a failing host does to a plan.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::backing::BackingError;

/// Counts the fallible calls of a backing and makes one of them fail, with nothing done.
///
/// Shared between a test and [`HostMemory`](super::HostMemory) (see [`MemoryOptions`](super::MemoryOptions)).
#[derive(Debug, Default)]
pub struct FailureInjector {
    calls: AtomicU64,
    fail_at: AtomicU64,
}

impl FailureInjector {
    /// Makes the `n`-th fallible call from now fail, counted from 1; 0 disarms. Resets
    /// [`calls`](Self::calls).
    pub fn fail_at(&self, n: u64) {
        self.fail_at.store(0, Ordering::SeqCst);
        self.calls.store(0, Ordering::SeqCst);
        self.fail_at.store(n, Ordering::SeqCst);
    }

    /// How many fallible calls there were since the last [`fail_at`](Self::fail_at).
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Whether the call that was to fail has come.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        let at = self.fail_at.load(Ordering::SeqCst);
        at != 0 && self.calls() >= at
    }

    /// Counts a call; `true` when it is the one that fails.
    pub(super) fn strikes(&self) -> bool {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        call == self.fail_at.load(Ordering::SeqCst)
    }

    /// Counts a call of `operation`, and fails when it is the one.
    pub(super) fn check(
        &self,
        operation: &'static str,
        place: impl ToString,
    ) -> Result<(), BackingError> {
        if self.strikes() {
            let source = io::Error::other("injected by a test");
            return Err(BackingError { operation, place: place.to_string(), source });
        }
        Ok(())
    }
}
