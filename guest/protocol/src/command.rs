//! The commands that the payload knows.

use super::devices::VALUES;

/// What the monitor asks a vCPU to do. `first` and `pages` are page numbers and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Reply [`PONG`].
    Ping,
    /// Write `word(seed, page, index)` to every word of the pages.
    Fill {
        /// First page.
        first: u64,
        /// How many pages.
        pages: u64,
        /// Seed of the words.
        seed: u64,
    },
    /// Compare every word with what [`Command::Fill`] writes. Replies the number of words that
    /// differ, and, if it is not 0, the address of the first one.
    Check {
        /// First page.
        first: u64,
        /// How many pages.
        pages: u64,
        /// Seed of the words.
        seed: u64,
    },
    /// Reply the [`Checksum`](super::Checksum) of the pages.
    Sum {
        /// First page.
        first: u64,
        /// How many pages.
        pages: u64,
    },
    /// Write one word.
    Write {
        /// Where, a multiple of 8.
        address: u64,
        /// What.
        value: u64,
    },
    /// Reply one word.
    Read {
        /// Where, a multiple of 8.
        address: u64,
    },
    /// Write `value` to the first word of every `stride`-th page. Replies how many that were.
    Touch {
        /// First page.
        first: u64,
        /// How many pages.
        pages: u64,
        /// From one page that is written to the next, in pages; not 0.
        stride: u64,
        /// What to write.
        value: u64,
    },
    /// Count in the control page without an exit, up to `limit` (0: no limit) or until stopped.
    /// Replies the count.
    Count {
        /// Where to end.
        limit: u64,
    },
    /// Print a line with its number on the serial line. Replies the number.
    Puts,
    /// Churn the pages from round 0 on, without an exit, until stopped or `limit` pages are
    /// written (0: no limit): see [`churn`](super::churn). Replies an [`Outcome`](super::Outcome).
    Churn {
        /// First page.
        first: u64,
        /// How many pages, at least 1.
        pages: u64,
        /// Seed of the pages.
        seed: u64,
        /// How many pages to write.
        limit: u64,
    },
    /// Go on where the last churn ended, which the control page knows, and verify what it left.
    ChurnOn {
        /// How many pages to write (0: no limit).
        limit: u64,
    },
    /// Crash: an invalid instruction.
    Fault,
    /// Panic: a message on the serial line, and the exit code [`EXIT_PANIC`].
    Panic,
    /// End with an exit code.
    Exit {
        /// The code.
        code: u64,
    },
    /// Reset a disk and set its queue up. Replies the capacity in sectors, the features agreed on,
    /// and the entries of the queue.
    DiskInit {
        /// Which virtio device.
        device: u64,
        /// Entries wanted, a power of two; 0: as many as there can be. There may be fewer.
        queue_size: u64,
        /// [`INDIRECT`](super::disk::INDIRECT) and [`EVENT_IDX`](super::disk::EVENT_IDX), where the
        /// device offers them.
        flags: u64,
    },
    /// Read sectors to memory, at any address. Replies the virtio status; so do those that follow.
    DiskRead {
        /// Which virtio device.
        device: u64,
        /// The first sector.
        sector: u64,
        /// How many.
        sectors: u64,
        /// Where in memory.
        address: u64,
    },
    /// Write memory, from any address on, to sectors.
    DiskWrite {
        /// Which virtio device.
        device: u64,
        /// The first sector.
        sector: u64,
        /// How many.
        sectors: u64,
        /// Where in memory.
        address: u64,
    },
    /// Make durable what was written.
    DiskFlush {
        /// Which virtio device.
        device: u64,
    },
    /// Give sectors up.
    DiskDiscard {
        /// Which virtio device.
        device: u64,
        /// The first sector.
        sector: u64,
        /// How many.
        sectors: u64,
    },
    /// Make sectors zeros.
    DiskZero {
        /// Which virtio device.
        device: u64,
        /// The first sector.
        sector: u64,
        /// How many.
        sectors: u64,
    },
    /// Read the disk's name, 20 bytes, to memory.
    DiskId {
        /// Which virtio device.
        device: u64,
        /// Where in memory.
        address: u64,
    },
    /// Begin a read or a write and do not wait. Replies a ticket that is not in use otherwise.
    DiskBegin {
        /// Which virtio device, and [`WRITES`](super::disk::WRITES) for a write.
        device: u64,
        /// The first sector.
        sector: u64,
        /// How many.
        sectors: u64,
        /// Where in memory.
        address: u64,
    },
    /// Look for a transfer that has ended, and do not wait. Replies how many were found (0 or 1),
    /// its ticket, its virtio status, and how many bytes the device says that it wrote.
    DiskEnded {
        /// Which virtio device.
        device: u64,
    },
    /// Keep many transfers in flight, and verify everything: see [`storm`](super::storm), and the
    /// control page for the parameters. Replies [`Totals`](super::storm::Totals).
    DiskStorm {
        /// First page of the storm's memory.
        first: u64,
        /// How many pages.
        pages: u64,
        /// Seed of its choices, and in every sector that it writes.
        seed: u64,
        /// How many transfers to begin (0: until stopped).
        limit: u64,
    },
    /// Go on where the last storm ended. Replies the same.
    DiskStormOn {
        /// How many transfers to begin (0: until stopped).
        limit: u64,
    },
    /// Read the region of the last storm back and verify it. Replies the same.
    DiskVerify,
    /// Write the same word several times in a row.
    Stamp {
        /// Where, a multiple of 8.
        address: u64,
        /// How many words.
        words: u64,
        /// What.
        value: u64,
    },
    /// Reply the word that stands several times in a row, or [`TORN`] if it is not the same.
    Stamped {
        /// Where, a multiple of 8.
        address: u64,
        /// How many words, at least 1.
        words: u64,
    },
    /// Prepare a [`load`](super::load): see the control page for the parameters. Replies 0.
    DiskLoad {
        /// First page of the load's memory.
        first: u64,
        /// How many pages.
        pages: u64,
        /// Seed of its choices, and in every sector that it writes.
        seed: u64,
    },
    /// Keep transfers in flight, from where the load stands. Replies
    /// [`Totals`](super::load::Totals).
    DiskLoadOn {
        /// How many transfers to begin (0: until stopped).
        limit: u64,
    },
    /// Read back what the load has written, and verify it. Replies the same.
    DiskLoadBack,
    /// Leave the guest again and again, to measure what that costs: read a register of a disk, and
    /// ring its doorbell with nothing new in the queue. Replies 0.
    DiskExits {
        /// Which virtio device.
        device: u64,
        /// How many reads.
        reads: u64,
        /// How many doorbells, after them.
        bells: u64,
    },
    /// Write `value` to the first word of the first `run` of every `stride` pages. Replies how many
    /// pages that were.
    TouchRuns {
        /// First page.
        first: u64,
        /// How many pages.
        pages: u64,
        /// Neighbours that are written.
        run: u32,
        /// From the first page of a run to that of the next, in pages; not 0.
        stride: u32,
        /// What to write.
        value: u64,
    },
}

/// What [`Command::Stamped`] replies for words that are not the same. Nobody should stamp it.
pub const TORN: u64 = u64::MAX;

/// The reply to [`Command::Ping`].
pub const PONG: u64 = 0x504f_4e47;

/// The exit code of a guest that panicked.
pub const EXIT_PANIC: u64 = 101;

/// What the register [`Command`](super::Register::Command) reads as when there is none.
pub const NO_COMMAND: u64 = 0;

impl Command {
    /// The number that stands for it in the mailbox; never [`NO_COMMAND`].
    #[must_use]
    pub const fn code(&self) -> u64 {
        match self {
            Self::Ping => 1,
            Self::Fill { .. } => 2,
            Self::Check { .. } => 3,
            Self::Sum { .. } => 4,
            Self::Write { .. } => 5,
            Self::Read { .. } => 6,
            Self::Touch { .. } => 7,
            Self::Count { .. } => 8,
            Self::Puts => 9,
            Self::Churn { .. } => 10,
            Self::ChurnOn { .. } => 11,
            Self::Fault => 12,
            Self::Panic => 13,
            Self::Exit { .. } => 14,
            Self::DiskInit { .. } => 15,
            Self::DiskRead { .. } => 16,
            Self::DiskWrite { .. } => 17,
            Self::DiskFlush { .. } => 18,
            Self::DiskDiscard { .. } => 19,
            Self::DiskZero { .. } => 20,
            Self::DiskId { .. } => 21,
            Self::DiskBegin { .. } => 22,
            Self::DiskEnded { .. } => 23,
            Self::DiskStorm { .. } => 24,
            Self::DiskStormOn { .. } => 25,
            Self::DiskVerify => 26,
            Self::Stamp { .. } => 27,
            Self::Stamped { .. } => 28,
            Self::DiskLoad { .. } => 29,
            Self::DiskLoadOn { .. } => 30,
            Self::DiskLoadBack => 31,
            Self::DiskExits { .. } => 32,
            Self::TouchRuns { .. } => 33,
        }
    }

    /// The arguments in the mailbox; those it does not have are 0.
    #[must_use]
    pub const fn args(&self) -> [u64; VALUES] {
        match *self {
            Self::Ping
            | Self::Puts
            | Self::Fault
            | Self::Panic
            | Self::DiskVerify
            | Self::DiskLoadBack => [0; VALUES],
            Self::Fill { first, pages, seed }
            | Self::Check { first, pages, seed }
            | Self::DiskLoad { first, pages, seed } => [first, pages, seed, 0],
            Self::Sum { first, pages } => [first, pages, 0, 0],
            Self::Write { address, value } => [address, value, 0, 0],
            Self::Read { address } => [address, 0, 0, 0],
            Self::Touch { first, pages, stride, value } => [first, pages, stride, value],
            Self::TouchRuns { first, pages, run, stride, value } => {
                [first, pages, (run as u64) << 32 | stride as u64, value]
            }
            Self::Count { limit } | Self::ChurnOn { limit } => [limit, 0, 0, 0],
            Self::Churn { first, pages, seed, limit } => [first, pages, seed, limit],
            Self::Exit { code } => [code, 0, 0, 0],
            Self::DiskInit { device, queue_size, flags } => [device, queue_size, flags, 0],
            Self::DiskRead { device, sector, sectors, address }
            | Self::DiskWrite { device, sector, sectors, address }
            | Self::DiskBegin { device, sector, sectors, address } => {
                [device, sector, sectors, address]
            }
            Self::DiskFlush { device } | Self::DiskEnded { device } => [device, 0, 0, 0],
            Self::DiskDiscard { device, sector, sectors }
            | Self::DiskZero { device, sector, sectors } => [device, sector, sectors, 0],
            Self::DiskId { device, address } => [device, address, 0, 0],
            Self::DiskExits { device, reads, bells } => [device, reads, bells, 0],
            Self::DiskStorm { first, pages, seed, limit } => [first, pages, seed, limit],
            Self::DiskStormOn { limit } | Self::DiskLoadOn { limit } => [limit, 0, 0, 0],
            Self::Stamp { address, words, value } => [address, words, value, 0],
            Self::Stamped { address, words } => [address, words, 0, 0],
        }
    }

    /// The command that `code` stands for. Asks `arg` only for the arguments that it has, since
    /// each costs an exit.
    pub fn decode(code: u64, mut arg: impl FnMut(usize) -> u64) -> Option<Self> {
        Some(match code {
            1 => Self::Ping,
            2 => Self::Fill { first: arg(0), pages: arg(1), seed: arg(2) },
            3 => Self::Check { first: arg(0), pages: arg(1), seed: arg(2) },
            4 => Self::Sum { first: arg(0), pages: arg(1) },
            5 => Self::Write { address: arg(0), value: arg(1) },
            6 => Self::Read { address: arg(0) },
            7 => Self::Touch { first: arg(0), pages: arg(1), stride: arg(2), value: arg(3) },
            8 => Self::Count { limit: arg(0) },
            9 => Self::Puts,
            10 => Self::Churn { first: arg(0), pages: arg(1), seed: arg(2), limit: arg(3) },
            11 => Self::ChurnOn { limit: arg(0) },
            12 => Self::Fault,
            13 => Self::Panic,
            14 => Self::Exit { code: arg(0) },
            15 => Self::DiskInit { device: arg(0), queue_size: arg(1), flags: arg(2) },
            16 => {
                Self::DiskRead { device: arg(0), sector: arg(1), sectors: arg(2), address: arg(3) }
            }
            17 => {
                Self::DiskWrite { device: arg(0), sector: arg(1), sectors: arg(2), address: arg(3) }
            }
            18 => Self::DiskFlush { device: arg(0) },
            19 => Self::DiskDiscard { device: arg(0), sector: arg(1), sectors: arg(2) },
            20 => Self::DiskZero { device: arg(0), sector: arg(1), sectors: arg(2) },
            21 => Self::DiskId { device: arg(0), address: arg(1) },
            22 => {
                Self::DiskBegin { device: arg(0), sector: arg(1), sectors: arg(2), address: arg(3) }
            }
            23 => Self::DiskEnded { device: arg(0) },
            24 => Self::DiskStorm { first: arg(0), pages: arg(1), seed: arg(2), limit: arg(3) },
            25 => Self::DiskStormOn { limit: arg(0) },
            26 => Self::DiskVerify,
            27 => Self::Stamp { address: arg(0), words: arg(1), value: arg(2) },
            28 => Self::Stamped { address: arg(0), words: arg(1) },
            29 => Self::DiskLoad { first: arg(0), pages: arg(1), seed: arg(2) },
            30 => Self::DiskLoadOn { limit: arg(0) },
            31 => Self::DiskLoadBack,
            32 => Self::DiskExits { device: arg(0), reads: arg(1), bells: arg(2) },
            33 => {
                let (first, pages, shape, value) = (arg(0), arg(1), arg(2), arg(3));
                let (run, stride) = ((shape >> 32) as u32, shape as u32);
                Self::TouchRuns { first, pages, run, stride, value }
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
