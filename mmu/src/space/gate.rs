//! The lock of a space: pins share it without meeting, everything else has it alone.
//!
//! Readers of a common lock all write to its one word, so that two threads which pin different frames
//! of one guest would hand that cache line to and fro. Here each thread has a part of the lock of its
//! own, and whoever wants it alone takes all parts: some 0.1 us more for operations that take several.

use std::sync::PoisonError;

use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};

/// Shared access.
pub(super) type Shared<'a, T> = ShardedLockReadGuard<'a, T>;

/// Sole access.
pub(super) type Alone<'a, T> = ShardedLockWriteGuard<'a, T>;

/// A reader-writer lock. A thread that panicked with it leaves it open, as it was.
pub(super) struct Gate<T>(ShardedLock<T>);

impl<T> Gate<T> {
    pub(super) fn new(value: T) -> Self {
        Self(ShardedLock::new(value))
    }

    pub(super) fn read(&self) -> Shared<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> Alone<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
