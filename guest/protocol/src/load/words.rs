//! The words of the control page that a load uses, beside [`STOP`](crate::control::STOP) and
//! [`SALT`](crate::control::SALT).

/// Which virtio device. The monitor writes this and the next seven before a load is prepared.
pub const DEVICE: usize = 64;
/// First sector of the region.
pub const SECTOR: usize = 65;
/// Sectors of a block: 1 to 256.
pub const BLOCK: usize = 66;
/// Blocks of the region.
pub const BLOCKS: usize = 67;
/// Slots: 1 to [`QUEUE_SIZE_MAX`](crate::disk::QUEUE_SIZE_MAX) / 4.
pub const SLOTS: usize = 68;
/// How many of 256 transfers are writes.
pub const WRITES: usize = 69;
/// [`flag`]s.
pub const FLAGS: usize = 70;

/// How many of the slots are used; the others stay empty. It may be changed while the load runs.
pub const DEPTH: usize = 71;
/// New transfers are begun when so many can be begun at once: 1, or more to begin them in waves.
pub const BATCH: usize = 72;
/// Not 0: the running load ends as soon as [`ENDED`] is not less, and leaves in flight what is in
/// flight. The payload sets it back to 0.
pub const UNTIL: usize = 73;

/// First page of the load's memory. The payload writes this and all that follow.
pub const FIRST: usize = 74;
/// Pages of the load's memory; 0 if none was prepared yet.
pub const PAGES: usize = 75;
/// The load's seed.
pub const SEED: usize = 76;
/// How many transfers were begun.
pub const BEGUN: usize = 77;
/// How many have ended.
pub const ENDED: usize = 78;
/// How often the doorbell was rung.
pub const BELLS: usize = 79;
/// How many blocks were verified: each that was read and of which it is known what it must hold.
pub const VERIFIED: usize = 80;
/// How many transfers failed, or brought something else.
pub const BAD: usize = 81;
/// The first of them: its sector, and what was expected and found there: a word, or the status.
pub const BAD_SECTOR: usize = 82;
/// See [`BAD_SECTOR`].
pub const BAD_EXPECTED: usize = 83;
/// See [`BAD_SECTOR`].
pub const BAD_FOUND: usize = 84;

/// Bits of [`FLAGS`].
pub mod flag {
    /// The region holds what was there [originally](crate::load::content::original). Without it,
    /// it is not known what it holds.
    pub const ORIGINAL: u64 = 1;
    /// All words of what is read are verified, not only the first and the last of each sector.
    pub const WHOLE: u64 = 2;
}
