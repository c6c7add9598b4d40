//! Disks that fork.
//!
//! A disk says *where* the bytes of a sector are; somebody else moves them. It is a base, which is
//! never written once the disk has forked, and overlays above it in which each sector has a place of
//! its own. It works on whole sectors of 512 bytes, so a small write needs no read before it.
//!
//! # Words
//!
//! | word | meaning |
//! | --- | --- |
//! | base | a raw file, or nothing (zeroes), at the bottom |
//! | store | a file of slots that one disk allocates from: an overlay with a name, or one without |
//! | slot | a cluster's worth of a store, counted: it is freed with the last map, plan and transfer that holds it |
//! | map | what one disk sees: for each sector a slot, zeroes, *unreadable*, or the base |
//! | generation | the time between two cuts of one disk. Only a slot of the current one takes new writes |
//! | cut | the moment of a fork or snapshot. What was written before is frozen for good |
//!
//! A generation of slots is a frozen layer as soon as it has more than one user, and stays one. That
//! maps are copied, and not stacked, keeps a read as cheap after a thousand forks as after one.
//!
//! # The rule
//!
//! *A write never goes where anybody can read.* [`Disk::begin_write`] gives places whose sectors no
//! map names: free sectors of a slot of the current generation, or a new slot. The map names them
//! when the transfer is complete ([`Ticket::complete`]). Hence a cut needs no wait and no copy:
//!
//! | parent | child, or image |
//! | --- | --- |
//! | begins a write to sector 7: slot 3, free there | |
//! | cut: its map is copied, a new generation begins | its map says for 7 what was true before the write |
//! | begins another write to 7: slot 3 is of an old generation, so a new slot 4 | reissues its own write to 7: slot 0 of its own store |
//! | the first transfer lands in slot 3: its own map names it, nobody else's does | |
//! | | completes; its own map names its own slot |
//!
//! Every sector that a copied map names was complete at the cut, and no later write goes to a slot of
//! that generation, except transfers that had begun, whose sectors no copied map names. So what a
//! child or an image reads never changes, and a write that fails leaves the old bytes.
//!
//! A raw disk without overlays is written in place, and there a write in flight is already changing
//! what the child would read:
//!
//! | parent | child, or image |
//! | --- | --- |
//! | begins a write to sector 7 of the base | |
//! | cut: from now on it writes to a store | its map says of 7: *unreadable* |
//! | the transfer lands in the base, where the parent reads it | a read of 7 is told so |
//! | | reissues the write: it goes to its own store; 7 is readable when it completes |
//! | | or fails it: [`Disk::settle`] copies what the base holds then, old or new, for good |
//!
//! # What it costs
//!
//! A cut copies a pointer per 256 clusters (16 MiB). A write costs a new slot where its sectors are
//! in use in all slots of the cluster: overwriting takes turns between two slots, whose old sectors
//! are written again in time. A slot is given back as a whole: as long as one sector of a frozen slot
//! is the newest for anybody, the others in it keep their space.
//!
//! # What lasts
//!
//! A flush ([`Disk::begin_flush`]) makes durable what was completed before it, in every file of the
//! disk, whoever wrote it. A store with a name keeps its map, too ([`overlay`] says how); its disk
//! goes on writing to it after a fork. Stores without a name end with the process: what a *raw* disk
//! was given after its first fork is lost then, and so is what unnamed children wrote. Give a disk
//! that is to be forked and to be kept an overlay with a name.
//!
//! A process that is killed leaves, of a raw disk that was not forked, all writes whose ends its guest has
//! seen; of an overlay with a name, all that was flushed, and of later writes any or none. A machine
//! that loses power leaves what was flushed, in both cases.
//!
//! # Locks
//!
//! ```text
//! the log of an overlay with a name (overlay::log)
//!   the state of one disk (state)
//!     the slots of one store (store)
//! ```
//!
//! No two states are locked at once. No lock is held during a system call, and nobody who waits for
//! a transfer holds any.

mod base;
mod error;
mod file;
mod flush;
mod fork;
mod geometry;
mod handle;
mod map;
mod options;
pub mod overlay;
mod read;
mod settle;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod ticket;
mod usage;

pub use error::DiskError;
pub use flush::{Flush, FlushProgress, FlushStep};
pub use fork::{DiskImage, PlannedFork, PlannedSnapshot};
pub use geometry::{ClusterSize, SECTOR_BYTES};
pub use handle::Disk;
pub use options::DiskOptions;
pub use read::{Extent, Place, ReadPlan};
pub use ticket::Ticket;
pub use usage::Usage;
