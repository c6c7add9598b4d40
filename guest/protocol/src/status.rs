//! What the payload replies to a command, beside its values.

/// How a command went. Its number is what the guest writes to [`Done`](super::Register::Done).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Status {
    /// It was done.
    Ok = 0,
    /// There is no such command.
    Unknown = 1,
    /// An argument names memory that is not of the tables, or is not a multiple of 8, or is 0
    /// where it may not be.
    BadArgument = 2,
    /// There is no such disk, or it was not set up, or it was and has broken since.
    NoDisk = 3,
    /// The queue is full.
    Full = 4,
}

impl Status {
    /// The status with this number.
    #[must_use]
    pub const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::Ok,
            1 => Self::Unknown,
            2 => Self::BadArgument,
            3 => Self::NoDisk,
            4 => Self::Full,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
