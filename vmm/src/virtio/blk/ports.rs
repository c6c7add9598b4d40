//! What a worker needs of others: pinned memory, and a disk.

use std::fs::File;
use std::io;
use std::sync::Arc;

use thiserror::Error;

use super::request::{Direction, Kind as RequestKind, Request, ZeroedRange};
use crate::io::{Buffers, Kind};
use crate::virtio::chain::Segment;

/// Why a port did not do what it was asked for.
#[derive(Debug, Error)]
pub enum PortError {
    /// Not now: somebody else's transfers or pins are in the way. Ask again later.
    #[error("not now")]
    Busy,
    /// It does not work. The guest gets an I/O error.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// Gives devices access to guest memory.
pub trait Pinner: Send {
    /// Pins the frames under `segments`, all or none, and gives their addresses, cut where frames
    /// are not neighbours. The pins end when the buffers (and their slices) are dropped.
    ///
    /// Called without any lock of a machine, so that it may fault guest memory.
    ///
    /// # Errors
    /// [`PortError::Busy`] when it would have to wait for other pins.
    fn pin(&mut self, segments: &[Segment], direction: Direction) -> Result<Buffers, PortError>;

    /// Whether `len_bytes` bytes from `address` on can be written now without waiting for pins. What
    /// is no memory can: the write itself fails.
    fn may_write(&mut self, address: u64, len_bytes: u64) -> bool;
}

/// What a disk is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Sectors are read.
    Read {
        /// The first.
        sector: u64,
        /// How many.
        sectors: u64,
    },
    /// Sectors are written.
    Write {
        /// The first.
        sector: u64,
        /// How many.
        sectors: u64,
    },
    /// What was written becomes durable.
    Flush,
    /// Sectors are not needed any more.
    Discard(&'a [ZeroedRange]),
    /// Sectors become zeros.
    WriteZeroes(&'a [ZeroedRange]),
}

impl<'a> Operation<'a> {
    /// What `request` asks a disk for; `None` when it needs none.
    #[must_use]
    pub fn of(request: &'a Request) -> Option<Self> {
        let (sector, sectors) = (request.sector, request.sectors());
        match request.kind {
            RequestKind::In => Some(Self::Read { sector, sectors }),
            RequestKind::Out => Some(Self::Write { sector, sectors }),
            RequestKind::Flush => Some(Self::Flush),
            RequestKind::Discard => Some(Self::Discard(&request.ranges)),
            RequestKind::WriteZeroes => Some(Self::WriteZeroes(&request.ranges)),
            RequestKind::GetId | RequestKind::Unsupported(_) => None,
        }
    }
}

/// A part of an operation.
#[derive(Clone, Debug)]
pub enum Piece {
    /// This many bytes of a read are zeros that are stored nowhere.
    Zeros {
        /// In bytes.
        len_bytes: usize,
    },
    /// The next bytes of a read or a write are here.
    Data {
        /// Where.
        file: Arc<File>,
        /// Where in it, in bytes.
        offset: u64,
        /// How many, in bytes.
        len_bytes: usize,
    },
    /// Something is done to a file without moving bytes.
    Other {
        /// Which.
        file: Arc<File>,
        /// Where in it, in bytes.
        offset: u64,
        /// What: neither a read nor a write.
        kind: Kind,
    },
    /// Bytes of the disk's own are written, which are none of the guest's.
    Own {
        /// Where.
        file: Arc<File>,
        /// Where in it, in bytes.
        offset: u64,
        /// What.
        bytes: Arc<[u8]>,
    },
}

/// How an operation is carried out: all pieces, in any order.
#[derive(Debug)]
pub struct Plan<T> {
    /// For a read or a write, in the order of the guest's bytes, which they cover exactly.
    pub pieces: Vec<Piece>,
    /// What [`DiskPort::end`] is given.
    pub ticket: T,
}

/// How far an operation is when all pieces of a plan have ended.
#[derive(Debug)]
pub enum Progress<T> {
    /// It is over.
    Over,
    /// It goes on with these, none of which is a piece of the guest's bytes. The request is in flight
    /// all the while, and they are carried out even when its guest is gone.
    More(Plan<T>),
    /// Another operation of the disk is in the way: [`DiskPort::end`] is to be called again later.
    Busy(T),
}

/// A disk as a worker sees it. It never waits for storage, but in [`DiskPort::abandon`].
pub trait DiskPort: Send {
    /// Names an operation from its beginning to its end.
    type Ticket: Send;

    /// What addresses and lengths in memory are multiples of, in bytes: a power of two. Memory that
    /// is not is copied.
    fn memory_alignment(&self) -> usize;

    /// Begins an operation on sectors that are on the disk.
    ///
    /// # Errors
    /// [`PortError::Busy`] when another operation has to end first.
    fn begin(&mut self, operation: Operation<'_>) -> Result<Plan<Self::Ticket>, PortError>;

    /// All pieces have ended; `done` when each moved all its bytes. Comes exactly once for each plan,
    /// and again after each [`Progress::Busy`], also for operations whose guest is gone. What is not
    /// done does not go on.
    ///
    /// # Errors
    /// The guest gets an I/O error.
    fn end(&mut self, ticket: Self::Ticket, done: bool) -> io::Result<Progress<Self::Ticket>>;

    /// An operation that was in flight when this disk was copied will not be done here: it failed, or
    /// the driver wants it no more. What its sectors hold has to be settled. Comes for operations
    /// that a restored worker had in its ledger, and for no others. May read and write files.
    fn abandon(&mut self, operation: Operation<'_>);
}
