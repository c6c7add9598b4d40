//! A polled driver for virtio-blk over virtio-mmio (virtio 1.2, sections 2.7, 4.2 and 5.2).
//!
//! Everything that it knows lies in RAM, at [`disk_place`](super::map::disk_place): the rings, the
//! free list, and a record per request in flight. So a fork takes the driver along, and each side
//! finds its own completions in its own used ring. There are no interrupts: the driver asks for
//! none, and looks at the used ring, which costs no exit. One vCPU at a time uses a device.

mod driver;
mod layout;
mod registers;
mod request;
mod ring;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

pub use driver::{Completion, Disk, DiskError, DiskInfo};
pub use layout::QUEUE_SIZE_MAX;
pub use registers::{Bus, register};
pub use request::{Operation, Request, SEGMENTS_MAX, Segment, status};

/// Flag of [`DiskInit`](super::Command::DiskInit): a table of descriptors per request.
pub const INDIRECT: u64 = 1;

/// Flag of [`DiskInit`](super::Command::DiskInit): the device says when it wants a doorbell.
pub const EVENT_IDX: u64 = 2;

/// In the device of a [`DiskBegin`](super::Command::DiskBegin): it writes the disk.
pub const WRITES: u64 = 1 << 8;

/// Bytes of a sector.
pub const SECTOR_BYTES: u64 = 512;

/// Bytes of a disk's name.
pub const ID_BYTES: u64 = 20;

/// Most sectors of one [`DiskRead`](super::Command::DiskRead) or write.
pub const SECTORS_MAX: u64 = 2048;

/// Feature bits, by number.
pub mod feature {
    /// Requests that change the disk fail.
    pub const RO: u64 = 5;
    /// There is a flush.
    pub const FLUSH: u64 = 9;
    /// There is a discard.
    pub const DISCARD: u64 = 13;
    /// There is a write zeroes.
    pub const WRITE_ZEROES: u64 = 14;
    /// Descriptors may stand in a table of their own.
    pub const INDIRECT: u64 = 28;
    /// Both sides say when they want to be told.
    pub const EVENT_IDX: u64 = 29;
    /// Not a legacy device.
    pub const VERSION_1: u64 = 32;
}
