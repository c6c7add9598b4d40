//! What an engine is asked to do, and what it answers.

use std::fs::File;
use std::io;
use std::sync::Arc;

use thiserror::Error;

use super::buffers::Buffers;

/// What happens to a range of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its bytes go to memory.
    Read,
    /// Memory's bytes go to it.
    Write,
    /// Data of the whole file becomes durable (`fdatasync`): the range does not matter.
    Sync,
    /// Its storage is given back; it reads as zeros (`FALLOC_FL_PUNCH_HOLE`).
    PunchHole {
        /// How many bytes.
        len_bytes: u64,
    },
    /// It reads as zeros and keeps its storage (`FALLOC_FL_ZERO_RANGE`).
    ZeroRange {
        /// How many bytes.
        len_bytes: u64,
    },
}

/// One operation on a file.
#[derive(Debug)]
pub struct Transfer {
    /// Chosen by the caller; it comes back in the completion.
    pub id: u64,
    /// The file. It stays open until the completion is read.
    pub file: Arc<File>,
    /// Where the range begins, in bytes.
    pub offset: u64,
    /// What happens.
    pub kind: Kind,
    /// The memory of a read or a write; empty otherwise.
    pub buffers: Buffers,
}

impl Transfer {
    /// How many bytes of memory are read or written when all goes well.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.buffers.len_bytes()
    }
}

/// The end of a transfer.
#[derive(Debug)]
pub struct Completion {
    /// The transfer's.
    pub id: u64,
    /// How many bytes were moved, which may be fewer than were asked for. 0 for the kinds that move
    /// none.
    pub result: io::Result<usize>,
    /// The transfer's memory. Dropping it ends the pins.
    pub buffers: Buffers,
}

/// A transfer that was not taken.
#[derive(Debug, Error)]
#[error("transfer {} was not taken: {reason}", transfer.id)]
pub struct Refused {
    /// The transfer, as it was.
    pub transfer: Box<Transfer>,
    /// Why. [`io::ErrorKind::WouldBlock`] when the engine is full.
    pub reason: io::Error,
}
