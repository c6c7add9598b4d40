//! Superblocks: where the log is.

use super::super::DiskError;
use super::super::file::DataFile;
use super::header::{Header, u32_at, u64_at};

/// No log is longer.
pub(super) const LOG_BYTES_MAX: u64 = 1 << 34;

const MAGIC: &[u8; 8] = b"PINCOWSB";
const BYTES: usize = 512;
const CRC_AT: usize = 40;

/// Where the two are. Epochs take turns.
const PLACES: [u64; 2] = [0x1000, 0x2000];

/// Where the log is, since an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Superblock {
    /// Counts logs.
    pub(super) epoch: u64,
    /// First slot of the log.
    pub(super) first: u64,
    /// How many slots it has.
    pub(super) slots: u64,
}

impl Superblock {
    /// Its bytes, and where they go: over the one of the epoch before the last.
    pub(super) fn encode(&self, id: u64) -> (u64, [u8; BYTES]) {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        for (at, value) in [(8, id), (16, self.epoch), (24, self.first), (32, self.slots)] {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        let crc = crc32fast::hash(&bytes[..CRC_AT]);
        bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        (PLACES[self.epoch as usize % 2], bytes)
    }

    /// Writes it there.
    pub(super) fn write(&self, file: &DataFile, id: u64) -> Result<(), DiskError> {
        let (offset, bytes) = self.encode(id);
        file.write(&bytes, offset)
    }

    /// The newest valid one.
    pub(super) fn newest(file: &DataFile, header: &Header) -> Result<Self, DiskError> {
        let found = PLACES.map(|place| {
            let mut bytes = [0; BYTES];
            file.read(&mut bytes, place).map(|()| Self::decode(&bytes, header)).unwrap_or(None)
        });
        found.into_iter().flatten().max_by_key(|found| found.epoch).ok_or_else(|| {
            DiskError::damaged(file.path(), "no valid superblock at offsets 0x1000 and 0x2000")
        })
    }

    fn decode(bytes: &[u8; BYTES], header: &Header) -> Option<Self> {
        let valid = bytes.starts_with(MAGIC)
            && u64_at(bytes, 8) == header.id
            && crc32fast::hash(&bytes[..CRC_AT]) == u32_at(bytes, CRC_AT);
        let found =
            Self { epoch: u64_at(bytes, 16), first: u64_at(bytes, 24), slots: u64_at(bytes, 32) };
        let end = found.first.checked_add(found.slots)?;
        let last = i64::MAX as u64 / header.geometry.cluster.bytes();
        let short = found.slots <= LOG_BYTES_MAX / header.geometry.cluster.bytes();
        (valid && short && found.first >= header.first_slot() && end <= last).then_some(found)
    }
}
