//! Batches of records: what a flush adds to the log.

use std::collections::BTreeMap;

use super::super::geometry::Mask;
use super::super::map::Entry;
use super::super::store::Store;
use super::header::{u32_at, u64_at};

const MAGIC: u32 = 0x5442_4350;
const HEAD_BYTES: usize = 40;
const CRC_AT: usize = 32;

/// Batches begin at multiples of this, so that writing one never rewrites a sector of another.
pub(super) const ALIGN: usize = 512;

/// Which log a batch belongs to, and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) id: u64,
    pub(super) epoch: u64,
    pub(super) number: u64,
}

/// What a file says about one cluster. It is not checked against anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Sectors that hold zeroes.
    pub(super) zero: Mask,
    /// Slots, and the sectors of the cluster that are in each.
    pub(super) parts: Vec<(u64, Mask)>,
}

/// Records by cluster.
pub(super) type Records = BTreeMap<u64, Record>;

impl Record {
    /// What `entry` says beyond the files below `store`.
    pub(super) fn of(entry: &Entry, store: &std::sync::Arc<Store>) -> Self {
        let own =
            entry.parts.iter().filter(|part| std::sync::Arc::ptr_eq(part.slot.store(), store));
        let parts = own.map(|part| (part.slot.index(), part.valid)).collect();
        Self { zero: entry.zero, parts }
    }

    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.zero == 0 && self.parts.is_empty()
    }
}

/// The bytes of a batch, whole sectors of them. `None` beyond 4 GiB.
pub(super) fn encode(position: Position, records: &Records) -> Option<Vec<u8>> {
    let mut bytes = vec![0; HEAD_BYTES];
    for (cluster, record) in records {
        bytes.extend(cluster.to_le_bytes());
        bytes.extend((record.parts.len() as u64).to_le_bytes());
        bytes.extend(record.zero.to_le_bytes());
        for (slot, valid) in &record.parts {
            bytes.extend(slot.to_le_bytes());
            bytes.extend(valid.to_le_bytes());
        }
    }
    let payload = u32::try_from(bytes.len() - HEAD_BYTES).ok()?;
    bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
    bytes[4..8].copy_from_slice(&payload.to_le_bytes());
    for (at, value) in [(8, position.id), (16, position.epoch), (24, position.number)] {
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    let crc = checksum(&bytes);
    bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
    Some(bytes)
}

fn checksum(batch: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&batch[..CRC_AT]);
    crc.update(&batch[HEAD_BYTES..]);
    crc.finalize()
}

/// The batch at the start of `bytes`: its position, its records and its size with padding. `None`
/// when there is no whole one.
pub(super) fn decode(bytes: &[u8]) -> Option<(Position, Records, usize)> {
    if bytes.len() < HEAD_BYTES || u32_at(bytes, 0) != MAGIC {
        return None;
    }
    let end = HEAD_BYTES + u32_at(bytes, 4) as usize;
    let batch = bytes.get(..end)?;
    if checksum(batch) != u32_at(batch, CRC_AT) {
        return None;
    }
    let position =
        Position { id: u64_at(batch, 8), epoch: u64_at(batch, 16), number: u64_at(batch, 24) };
    let mut records = Records::new();
    let mut rest = &batch[HEAD_BYTES..];
    while !rest.is_empty() {
        let cluster = u64_at(take(&mut rest, 8)?, 0);
        let count = u64_at(take(&mut rest, 8)?, 0);
        let zero = mask(take(&mut rest, 16)?);
        let mut parts = Vec::new();
        for _ in 0..count {
            parts.push((u64_at(take(&mut rest, 8)?, 0), mask(take(&mut rest, 16)?)));
        }
        records.insert(cluster, Record { zero, parts });
    }
    Some((position, records, end.next_multiple_of(ALIGN)))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn mask(bytes: &[u8]) -> Mask {
    Mask::from(u64_at(bytes, 0)) | Mask::from(u64_at(bytes, 8)) << 64
}
