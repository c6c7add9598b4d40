//! How long a fork takes while disk transfers are in flight, on a fast disk and on a slow one.
//!
//! A guest keeps a number of transfers in flight, reads and writes of 4 KiB, as a
//! [load](pincow_guest_protocol::load), and is forked again and again. Three things are taken: how many
//! transfers the kernel had and had not finished at the cut, how long the parent stood still, and how
//! long it took from the call until the child saw the end of a transfer that had not ended at the cut.
//!
//! Then both sides go on, each with blocks of its own, and verify all that they read. What the child
//! wrote, from before the cut and after, is read back on its own disk and compared word by word; so
//! is what the parent wrote, after its last fork.
//!
//! A slow disk is the same disk with an engine that begins each transfer some time after it was
//! submitted. The guest waits for a whole wave of transfers there, and is forked in the middle of it,
//! so that as many are in flight as it has slots. On a fast disk it is forked at any moment.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{BenchError, Guests, Watch};
use crate::kvm::Host;
use crate::virtio::blk::Policy;

mod bench;

use bench::Bench;

/// Forks before those that count.
const WARM_UP: usize = 1;

/// The most transfers in flight that can be asked for.
pub const MOST_IN_FLIGHT: u64 = 64;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Transfers that the guest keeps in flight.
    pub in_flight: u64,
    /// What becomes of them.
    pub policy: Policy,
    /// How long each takes, on a slow disk.
    pub latency: Option<Duration>,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct ForkIoTimes {
    /// For each fork, the transfers that the kernel had and had not finished.
    pub in_flight: Vec<usize>,
    /// How long the parent stood still.
    pub pause: Vec<Duration>,
    /// From the call until the child saw its first transfer end.
    pub first: Vec<Duration>,
    /// Frames that were copied at forks because they were pinned.
    pub early_copies: u64,
    /// Requests that children issued again.
    pub reissued: u64,
    /// Blocks that both sides verified.
    pub verified: u64,
    /// Whether transfers went past the page cache.
    pub direct: bool,
    /// What was not as it should be, in words. Empty when all is well.
    pub violations: Vec<String>,
}

/// Measures `samples` forks.
///
/// # Errors
/// When the disk or a guest cannot be made, a guest ends, does not answer, or is too small.
pub fn measure(
    host: &Arc<Host>,
    guests: &Guests,
    case: Case,
    samples: usize,
    folder: &Path,
    watch: Watch<'_>,
) -> Result<ForkIoTimes, BenchError> {
    let mut bench = Bench::new(host, guests, case, folder)?;
    for round in 0..WARM_UP + samples {
        watch("forking", round, WARM_UP + samples);
        bench.sample(round)?;
        if round + 1 == WARM_UP {
            bench.begin_to_count();
        }
    }
    bench.end()
}
