//! What a worker did.

use serde::{Deserialize, Serialize};

/// Counts since the worker was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlkCounts {
    /// Requests that were taken, those included that were answered at once.
    pub requests: u64,
    /// Requests that were answered.
    pub answered: u64,
    /// Of them, those with another status than OK.
    pub errors: u64,
    /// Transfers that were submitted.
    pub transfers: u64,
    /// Bytes that transfers moved.
    pub bytes: u64,
    /// Transfers that were continued after they had moved some of their bytes.
    pub continued: u64,
    /// Requests whose memory was not aligned and whose data was copied.
    pub bounced: u64,
    /// Requests that were carried out again after a restore.
    pub reissued: u64,
    /// Chains that could not be answered, and other reasons for DEVICE_NEEDS_RESET.
    pub malformed: u64,
}
