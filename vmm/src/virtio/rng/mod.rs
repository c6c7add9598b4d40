//! virtio-rng (virtio 1.2, section 5.4): random bytes from the host.
//!
//! A request is served in one step: the chain is taken, its buffers are filled through the guest's
//! window like any write by a CPU, and it is answered. So a device that is stopped between two steps
//! has nothing in flight, and its saved state ([`RngState`]) is its queue.
//!
//! # At a fork
//!
//! Requests that were not taken stay available on both sides, and each side asks the host for bytes
//! of its own. Bytes that the guest was given before the cut and has not used yet are in its memory,
//! and so both sides have the same: only the guest can throw them away. It learns that it should from
//! its VM generation ID.
//!
//! # Bounds
//!
//! A request is given [`MOST_BYTES`] at most, and a step serves as many requests as the queue has
//! entries. A driver that asks for ever gets the device's thread to work for ever, and nothing else:
//! between two steps anybody may stop it.

mod device;
mod entropy;
mod worker;

#[cfg(test)]
mod tests;

pub use device::Rng;
pub use entropy::{Entropy, HostEntropy};
pub use worker::{MOST_BYTES, QUEUE_SIZE, RngCounts, RngState, RngWorker};
