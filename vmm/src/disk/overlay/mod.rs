//! Overlays with a name: the file format, and how it outlives a crash.
//!
//! All numbers are little-endian. The file is a row of slots, each as large as a cluster.
//!
//! | where | what |
//! | --- | --- |
//! | bytes 0 to 0xfff | header: magic `PINCOWOV`, version, clusters, size, base; CRC-32 in the last 4 bytes. Never changes |
//! | 0x1000, 0x2000 | two superblocks of 512 bytes: where the log is. The valid one with the higher epoch counts |
//! | to 0xffff | nothing |
//! | slots from there | clusters, and the log in a run of slots |
//!
//! The log is a row of batches, each at a multiple of 512 with a CRC-32 over all of it. A batch holds
//! records; a record says of one cluster which of its sectors hold zeroes and which are in which
//! slots, in place of what an earlier record said. Sectors that no record names are those of the
//! base. When a log is full, a new one that begins with the whole map is written beside it, then a
//! superblock, and the old one is free.
//!
//! What a crash at any moment leaves is a state that a flush has promised or a later one:
//!
//! 1. bytes are synced before the batch that names them is written ([`super::Flush`]);
//! 2. a slot that the map on the device may name is used for another cluster only when a map is
//!    durable that does not ; within the slot a sector is rewritten only by newer
//!    writes to the same sector of the disk, as on any disk with a write cache;
//! 3. a batch that was cut off fails its CRC and ends the log; its flush was not acknowledged.
//!
//! The base is named by its absolute path, with its size, so that another file in its place is
//! noticed, and with its kind, so that what a guest writes to a raw disk can never make it anything
//! else.

mod append;
mod batch;
mod create;
mod findings;
mod flatten;
mod header;
mod inspect;
mod log;
mod open;
mod superblock;
#[cfg(test)]
mod tests;
mod written_beside;

pub use create::{BaseKind, BaseSpec, NewOverlay, begins_like_an_overlay, create};
pub use flatten::flatten;
pub use inspect::{Inspection, Layer, inspect};

pub(super) use append::Append;
pub(super) use log::{Begun, Log};
pub(super) use open::open;
