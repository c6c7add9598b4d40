//! What becomes of requests that were in flight when a guest was copied.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::ledger::LedgerError;
use crate::virtio::queue::QueueError;

/// For the copy only: the original's transfers go on and end in the original.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// The copy carries them out again, on its own disk and its own pins.
    #[default]
    Reissue,
    /// They fail with an I/O error.
    Error,
    /// There are none: the original waited for them before it was copied.
    Drain,
}

/// A saved disk that was not made live.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// A queue is wrong.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A request is wrong.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Requests are in flight, with [`Policy::Drain`].
    #[error("{0} saved requests are in flight: drain the disk before it is saved, or reissue them")]
    NotDrained(usize),
}
