//! virtio-blk (virtio 1.2, section 5.2): disks.
//!
//! A request goes through these hands:
//!
//! 1. [`Request::decode`] turns a descriptor chain into plain data, all checks included, or says what
//!    to answer instead. Guest memory that describes the request is read once.
//! 2. [`BlkWorker`] writes it into the ledger of requests in flight, asks the [`Pinner`] for the frames
//!    and the [`DiskPort`] for the places in files, and submits transfers to the
//!    [`Engine`](crate::io::Engine).
//! 3. When the last completion of a request is read, the worker tells the disk, writes the data of
//!    a bounced read, the status and the used ring, takes the entry out of the ledger and drops the
//!    pins: in one step, which nobody who stops the worker can see a part of.
//!
//! [`Blk`] is the device that a transport talks to: a worker behind a lock, and a
//! [`Reactor`](super::Reactor) thread that drives it. Whoever holds the lock ([`Blk::park`]) has stopped the device between
//! two completions, without waiting for the disk.
//!
//! A saved worker is a [`BlkState`]: queues, and the ledger. A copy of the guest starts with them
//! and [`Policy`] says what becomes of requests that were in flight.

mod bounce;
mod config;
mod decode;
mod device;
mod ledger;
mod policy;
mod ports;
mod request;
mod worker;

#[cfg(test)]
mod tests;

pub use config::{BlkConfig, BlkOptions, OptionsError};
pub use decode::{Decoded, Malformed};
pub use device::Blk;
pub use ledger::{Entry, Ledger, LedgerError};
pub use policy::{Policy, RestoreError};
pub use ports::{DiskPort, Operation, Piece, Pinner, Plan, PortError, Progress};
pub use request::{Direction, Kind, Request, Status, ZeroedRange};
pub use worker::{BlkCounts, BlkState, BlkWorker, DrainError, Ports};

pub use super::chain::Segment;
