//! What is asked of a disk.

/// Most segments of one request.
pub const SEGMENTS_MAX: usize = 8;

/// What a device writes into the last byte of a request.
pub mod status {
    /// It was done.
    pub const OK: u8 = 0;
    /// It failed.
    pub const IO_ERROR: u8 = 1;
    /// The device does not do such a thing.
    pub const UNSUPPORTED: u8 = 2;
    /// The driver wrote this before; a device never does.
    pub const UNWRITTEN: u8 = 0xff;
}

/// What a request asks for. Its number is the type in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Operation {
    /// Sectors go to memory.
    Read = 0,
    /// Memory goes to sectors.
    Write = 1,
    /// What was written becomes durable.
    Flush = 4,
    /// The name goes to memory.
    Id = 8,
    /// Sectors are given up.
    Discard = 11,
    /// Sectors become zeros.
    Zero = 13,
}

impl Operation {
    /// The operation with this number.
    #[must_use]
    pub const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::Read,
            1 => Self::Write,
            4 => Self::Flush,
            8 => Self::Id,
            11 => Self::Discard,
            13 => Self::Zero,
            _ => return None,
        })
    }

    /// Whether its sectors are named in a range, which the device reads as data.
    #[must_use]
    pub const fn has_range(self) -> bool {
        matches!(self, Self::Discard | Self::Zero)
    }

    /// Whether the device writes data to memory.
    #[must_use]
    pub const fn fills_memory(self) -> bool {
        matches!(self, Self::Read | Self::Id)
    }
}

/// A run of bytes of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins.
    pub address: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// A request as its caller sees it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What is to be done.
    pub operation: Operation,
    /// The first sector.
    pub sector: u64,
    /// How many, for a discard or write zeroes; otherwise the segments say it.
    pub sectors: u64,
    /// The data, at most [`SEGMENTS_MAX`].
    pub segments: &'a [Segment],
    /// What the caller calls it.
    pub token: u64,
}
