//! Where the parts of a device's place are.

use crate::map::{DISK_STRIDE, disk_place};
use crate::memory::Memory;

/// Most entries of a queue, for which there is room.
pub const QUEUE_SIZE_MAX: u64 = 256;

/// Bytes of a descriptor.
pub(super) const DESCRIPTOR: u64 = 16;
const DESCRIPTORS: u64 = 0x1000;
const AVAILABLE: u64 = 0x2000;
const USED: u64 = 0x3000;
const RECORDS: u64 = 0x4000;
/// Bytes of a request's record.
const RECORD: u64 = 64;
const TABLES: u64 = RECORDS + QUEUE_SIZE_MAX * RECORD;
/// Bytes of a request's indirect table.
const TABLE: u64 = 16 * DESCRIPTOR;

const _: () = assert!(DESCRIPTORS + QUEUE_SIZE_MAX * DESCRIPTOR <= AVAILABLE);
const _: () = assert!(6 + 2 * QUEUE_SIZE_MAX <= USED - AVAILABLE);
const _: () = assert!(6 + 8 * QUEUE_SIZE_MAX <= RECORDS - USED);
const _: () = assert!(TABLES + QUEUE_SIZE_MAX * TABLE <= DISK_STRIDE);

/// A word of the driver's state.
#[derive(Clone, Copy)]
pub(super) enum State {
    /// [`READY`] once the device is set up.
    Ready,
    /// Entries of the queue.
    Size,
    /// Features agreed on.
    Features,
    /// Sectors of the disk.
    Capacity,
    /// How many requests were made available.
    Available,
    /// How many of them the device was told of.
    Told,
    /// How many completions were seen.
    Seen,
    /// First free descriptor.
    FreeHead,
    /// How many are free.
    Free,
    /// Requests in flight.
    InFlight,
}

/// What [`State::Ready`] holds.
pub(super) const READY: u64 = 0x6b73_6964;

/// A word of a request's record.
#[derive(Clone, Copy)]
pub(super) enum Record {
    /// The header that the device reads: type, and sector.
    Header = 0,
    /// The range of a discard or write zeroes: first sector, and count.
    Range = 16,
    /// The device writes the status into its first byte.
    Status = 32,
    /// What the caller calls it.
    Token = 40,
    /// 1 while it is in flight.
    Busy = 48,
}

/// The place of one device.
#[derive(Clone, Copy)]
pub(super) struct Place {
    base: u64,
}

impl Place {
    pub(super) fn new(device: usize) -> Self {
        Self { base: disk_place(device) }
    }

    pub(super) fn get(self, memory: &impl Memory, word: State) -> u64 {
        memory.word(self.base + word as u64 * 8)
    }

    pub(super) fn set(self, memory: &mut impl Memory, word: State, value: u64) {
        memory.set_word(self.base + word as u64 * 8, value);
    }

    /// The rings, for the queue registers.
    pub(super) fn rings(self) -> [u64; 3] {
        [DESCRIPTORS, AVAILABLE, USED].map(|part| self.base + part)
    }

    pub(super) fn descriptors(self) -> u64 {
        self.base + DESCRIPTORS
    }

    pub(super) fn available(self) -> u64 {
        self.base + AVAILABLE
    }

    pub(super) fn used(self) -> u64 {
        self.base + USED
    }

    /// A word of the record of the request with this head.
    pub(super) fn record(self, head: u64, word: Record) -> u64 {
        self.base + RECORDS + head * RECORD + word as u64
    }

    /// The indirect table of the request with this head.
    pub(super) fn table(self, head: u64) -> u64 {
        self.base + TABLES + head * TABLE
    }

    /// All of it becomes zeros.
    pub(super) fn clear(self, memory: &mut impl Memory) {
        (0..DISK_STRIDE).step_by(8).for_each(|offset| memory.set_word(self.base + offset, 0));
    }
}
