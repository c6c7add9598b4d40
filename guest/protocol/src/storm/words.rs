//! The words of the control page that a storm uses, beside [`STOP`](crate::control::STOP) and
//! [`SALT`](crate::control::SALT).

/// Which virtio device. The monitor writes this and the next seven before a storm.
pub const DEVICE: usize = 16;
/// First sector of the region.
pub const SECTOR: usize = 17;
/// Sectors of the region.
pub const SECTORS: usize = 18;
/// Most transfers in flight: 1 to [`QUEUE_SIZE_MAX`](crate::disk::QUEUE_SIZE_MAX).
pub const DEPTH: usize = 19;
/// Most sectors of a transfer: 1 to 128.
pub const MOST: usize = 20;
/// How many of 256 transfers are writes.
pub const WRITES: usize = 21;
/// How many of 256 transfers have buffers that are aligned to nothing. The others' are aligned to
/// 512 bytes.
pub const UNALIGNED: usize = 22;
/// [`flag`]s.
pub const FLAGS: usize = 23;

/// First page of the storm's memory. The payload writes this and all that follow.
pub const FIRST: usize = 24;
/// Pages of the storm's memory; 0 if there was no storm yet.
pub const PAGES: usize = 25;
/// The storm's seed.
pub const SEED: usize = 26;
/// Where its choices are.
pub const CHOICE: usize = 27;
/// A [`phase`].
pub const PHASE: usize = 28;
/// How many transfers were prepared: the next one's number.
pub const SEQUENCE: usize = 29;
/// How many transfers have ended.
pub const TRANSFERS: usize = 30;
/// How many bytes they moved.
pub const BYTES: usize = 31;
/// How many were made available and have not ended yet.
pub const IN_FLIGHT: usize = 32;
/// How many sectors were compared after a read.
pub const COMPARED: usize = 33;
/// How many sectors the last reading back has compared, or could not since it is not known what
/// they hold.
pub const READ_BACK: usize = 34;
/// How often the stamps beside a buffer were verified.
pub const STAMPED: usize = 35;
/// Transfers that failed, with [`flag::ERRORS`].
pub const ERRORS: usize = 36;
/// How many salts were taken up.
pub const SALTS: usize = 37;
/// The slot that is looked at next.
pub const CURSOR: usize = 38;
/// How many pages that were given up were found discarded.
pub const DISCARDED: usize = 39;
/// How many findings there are; in the words after it, how many of each
/// [kind](super::FindingKind).
pub const FINDINGS: usize = 40;
/// The page that is given up or taken back next.
pub const LENT_CURSOR: usize = 47;
/// The first finding: its kind, and the fields of [`Finding`](super::Finding) in order.
pub const FIRST_FINDING: usize = 48;

/// How many words from [`DEVICE`] on are the storm's.
pub const COUNT: usize = 40;

/// Bits of [`FLAGS`].
pub mod flag {
    /// The region holds zeros at first, or whatever, but nothing of a storm with the same seed.
    pub const FRESH: u64 = 1;
    /// The region holds zeros at first.
    pub const ZEROS: u64 = 2;
    /// Flushes are mixed in.
    pub const FLUSH: u64 = 4;
    /// Write zeroes are mixed in.
    pub const ZERO: u64 = 8;
    /// Discards are mixed in. What a discarded sector holds is not known, without
    /// [`DISCARDED_ARE_ZEROS`].
    pub const DISCARD: u64 = 16;
    /// I/O errors may happen: they are counted apart, and a sector whose write failed is unknown.
    pub const ERRORS: u64 = 32;
    /// The region is not read back at the end.
    pub const NO_READ_BACK: u64 = 64;
    /// The disk promises that discarded sectors hold zeros.
    pub const DISCARDED_ARE_ZEROS: u64 = 128;
    /// Pages of memory are given up from time to time, for the monitor to discard.
    pub const LEND: u64 = 256;
}

/// Values of [`PHASE`].
pub mod phase {
    /// There is no storm, or it has ended.
    pub const IDLE: u64 = 0;
    /// Transfers are begun.
    pub const STORM: u64 = 1;
    /// No more are begun; the last are waited for.
    pub const DRAIN: u64 = 2;
    /// The region is read back.
    pub const READ_BACK: u64 = 3;
}
