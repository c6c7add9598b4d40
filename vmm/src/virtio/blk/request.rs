//! Requests as plain data.

use serde::{Deserialize, Serialize};
use virtio_bindings::virtio_blk as abi;

use crate::virtio::chain::Segment;

/// Sectors are this long, in bytes, whatever the block size.
pub(crate) const SECTOR: u64 = 512;

/// How many bytes of an identifier a guest is given.
pub(super) const ID_LEN: usize = abi::VIRTIO_BLK_ID_BYTES as usize;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Sectors of the disk go to guest memory.
    In,
    /// Guest memory goes to sectors of the disk.
    Out,
    /// What was written becomes durable.
    Flush,
    /// Sectors are not needed any more.
    Discard,
    /// Sectors become zeros.
    WriteZeroes,
    /// The disk's identifier goes to guest memory.
    GetId,
    /// A type that this device does not know.
    Unsupported(u32),
}

impl Kind {
    /// Of the type field of a request's header.
    #[must_use]
    pub fn of_type(number: u32) -> Self {
        match number {
            abi::VIRTIO_BLK_T_IN => Self::In,
            abi::VIRTIO_BLK_T_OUT => Self::Out,
            abi::VIRTIO_BLK_T_FLUSH => Self::Flush,
            abi::VIRTIO_BLK_T_DISCARD => Self::Discard,
            abi::VIRTIO_BLK_T_WRITE_ZEROES => Self::WriteZeroes,
            abi::VIRTIO_BLK_T_GET_ID => Self::GetId,
            other => Self::Unsupported(other),
        }
    }

    /// Whether it changes the disk.
    #[must_use]
    pub fn writes(self) -> bool {
        matches!(self, Self::Out | Self::Discard | Self::WriteZeroes)
    }

    /// Whether the device writes data (beyond the status) to guest memory.
    #[must_use]
    pub fn fills_memory(self) -> bool {
        matches!(self, Self::In | Self::GetId)
    }
}

/// The last byte that a device writes for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// VIRTIO_BLK_S_OK.
    Ok = abi::VIRTIO_BLK_S_OK as u8,
    /// VIRTIO_BLK_S_IOERR.
    IoError = abi::VIRTIO_BLK_S_IOERR as u8,
    /// VIRTIO_BLK_S_UNSUPP.
    Unsupported = abi::VIRTIO_BLK_S_UNSUPP as u8,
}

/// Who writes memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The device does: a read of the disk.
    FromDevice,
    /// The guest did, and the device reads it: a write to the disk.
    ToDevice,
}

/// A range of sectors that is discarded or zeroed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZeroedRange {
    /// The first sector.
    pub sector: u64,
    /// How many sectors.
    pub sectors: u32,
    /// For write zeroes: storage may be given back.
    pub unmap: bool,
}

/// One request, decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Index of the first descriptor, which names the request to the driver.
    pub head: u16,
    /// What it asks for.
    pub kind: Kind,
    /// The first sector of a read or a write.
    pub sector: u64,
    /// The data of a read, a write or an identifier, in order, all of it in guest memory.
    pub segments: Vec<Segment>,
    /// The ranges of a discard or write zeroes.
    pub ranges: Vec<ZeroedRange>,
    /// Guest-physical address of the status byte.
    pub status_address: u64,
    /// The sum of the segments' lengths, in bytes.
    pub data_len: u32,
}

impl Request {
    /// How many sectors a read or a write moves.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        u64::from(self.data_len) / SECTOR
    }

    /// What the used ring says was written: everything, or nothing that can be relied on.
    #[must_use]
    pub fn used_len(&self, status: Status) -> u32 {
        match (self.kind.fills_memory(), status) {
            (true, Status::Ok) => self.data_len + 1,
            (true, _) => 0,
            (false, _) => 1,
        }
    }
}
