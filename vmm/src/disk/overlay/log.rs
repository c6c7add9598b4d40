//! The log: the map on the device.

use std::sync::Arc;

use super::super::DiskError;
use super::super::file::DataFile;
use super::super::flush::Capture;
use super::super::store::Store;
use super::batch::{self, ALIGN, Position, Record, Records};
use super::header::Header;
use super::superblock::{LOG_BYTES_MAX, Superblock};

#[cfg(test)]
mod tests;

/// Bytes of a log that begins with little.
pub(super) const LOG_BYTES: u64 = 1 << 20;

/// How much larger a new log is than what it begins with.
const ROOM: u64 = 4;

/// What a log says.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) records: Records,
    /// How many bytes of it are valid, from its start.
    pub(super) tail: u64,
    /// How many batches.
    pub(super) batches: u64,
    /// Something that is no batch follows: a flush was cut off.
    pub(super) torn: bool,
    /// The number and place in the log of a whole batch behind that: the ones between are lost.
    pub(super) beyond: Option<(u64, u64)>,
}

/// Reads the log that `superblock` names.
pub(super) fn replay(
    file: &DataFile,
    header: &Header,
    superblock: &Superblock,
) -> Result<Replay, DiskError> {
    let cluster = header.geometry.cluster.bytes();
    let start = superblock.first * cluster;
    let present = file.size_bytes()?.saturating_sub(start).min(superblock.slots * cluster);
    let mut bytes = vec![0; present as usize];
    file.read(&mut bytes, start)?;
    let belongs = |at: usize, from: u64| {
        batch::decode(&bytes[at..]).filter(|(position, ..)| {
            position.id == header.id
                && position.epoch == superblock.epoch
                && position.number >= from
        })
    };
    let mut replay =
        Replay { records: Records::new(), tail: 0, batches: 0, torn: false, beyond: None };
    let mut at = 0;
    while at < bytes.len()
        && let Some((position, records, length)) = belongs(at, replay.batches)
        && position.number == replay.batches
    {
        replay.records.extend(records);
        replay.batches += 1;
        at = (at + length).min(bytes.len());
    }
    replay.tail = at as u64;
    replay.torn = bytes[at..].iter().any(|byte| *byte != 0);
    if replay.torn {
        let later = (at..bytes.len()).step_by(ALIGN);
        replay.beyond = later
            .filter_map(|at| belongs(at, replay.batches).map(|found| (found.0.number, at as u64)))
            .next();
    }
    Ok(replay)
}

/// The log of an overlay that is open for writing.
#[derive(Debug)]
pub(in super::super) struct Log {
    file: Arc<DataFile>,
    header: Header,
    superblock: Superblock,
    /// Where the next batch goes, in bytes from the start of the log.
    tail: u64,
    /// The number of the next batch.
    number: u64,
    /// The last version of the disk's map that is durable.
    committed: u64,
}

impl Log {
    /// The log that was replayed.
    pub(super) fn resume(
        file: Arc<DataFile>,
        header: Header,
        superblock: Superblock,
        replay: &Replay,
    ) -> Self {
        let (tail, number) = (replay.tail, replay.batches);
        Self { file, header, superblock, tail, number, committed: 0 }
    }

    /// Makes a captured map durable. The bytes that it names are to be so already. `false` when a
    /// later one is.
    ///
    /// # Errors
    ///
    /// The map on the device is as before, and this can be tried again, unless a sync failed.
    pub(in super::super) fn commit(&mut self, capture: &Capture) -> Result<bool, DiskError> {
        if capture.version <= self.committed {
            return Ok(false);
        }
        self.file.trusted()?;
        // From here on the device may name them, however this ends.
        capture.entries.iter().flat_map(|(_, entry)| &entry.parts).for_each(|it| it.slot.record());
        let record = |entry| Record::of(entry, &capture.store);
        let records = capture.entries.iter().map(|(cluster, entry)| (*cluster, record(entry)));
        self.append(records.collect(), &capture.store)?;
        self.committed = capture.version;
        Ok(true)
    }

    fn append(&mut self, records: Records, store: &Store) -> Result<(), DiskError> {
        let batch = self.encode(self.position(), &records)?;
        let cluster = self.header.geometry.cluster.bytes();
        if self.tail + batch.len() as u64 > self.superblock.slots * cluster {
            return self.begin_anew(records, store);
        }
        self.file.write(&batch, self.superblock.first * cluster + self.tail)?;
        self.sync()?;
        self.tail += batch.len() as u64;
        self.number += 1;
        Ok(())
    }

    /// Writes a new log that begins with all that the old one says, and `newer`.
    fn begin_anew(&mut self, newer: Records, store: &Store) -> Result<(), DiskError> {
        let old = self.superblock;
        let mut records = replay(&self.file, &self.header, &old)?.records;
        records.extend(newer);
        let position = Position { id: self.header.id, epoch: old.epoch + 1, number: 0 };
        let batch = self.encode(position, &records)?;
        let cluster = self.header.geometry.cluster.bytes();
        let slots =
            LOG_BYTES.max(ROOM * batch.len() as u64).div_ceil(cluster).min(LOG_BYTES_MAX / cluster);
        let first = store.allocate_run(slots)?;
        if let Err(error) = self.file.write(&batch, first * cluster) {
            store.free_run(first, slots);
            return Err(error);
        }
        self.sync()?;
        let superblock = Superblock { epoch: position.epoch, first, slots };
        // Half a superblock is none, and the old one counts; but nobody knows which it is.
        superblock.write(&self.file, self.header.id).inspect_err(|_| self.file.fail())?;
        self.sync()?;
        store.free_run(old.first, old.slots);
        self.superblock = superblock;
        self.tail = batch.len() as u64;
        self.number = 1;
        Ok(())
    }

    fn encode(&self, position: Position, records: &Records) -> Result<Vec<u8>, DiskError> {
        let full = || DiskError::Full { path: self.file.path().to_owned(), limit: u32::MAX.into() };
        batch::encode(position, records).ok_or_else(full)
    }

    fn position(&self) -> Position {
        Position { id: self.header.id, epoch: self.superblock.epoch, number: self.number }
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.file.sync().inspect_err(|_| self.file.fail())
    }
}
