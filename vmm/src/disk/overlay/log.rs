//! The log: the map on the device.

use std::sync::Arc;

use super::super::DiskError;
use super::super::file::DataFile;
use super::super::flush::Capture;
use super::super::store::Store;
use super::append::{Append, End};
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
///
/// One append at a time: [`Log::begin`], what the [`Append`] says, and [`Log::finished`] or
/// [`Log::failed`]. Nothing here waits for the device.
#[derive(Debug)]
pub(in super::super) struct Log {
    file: Arc<DataFile>,
    header: Header,
    end: End,
    /// The last version of the disk's map that is durable.
    committed: u64,
    busy: bool,
}

/// How an append began.
pub(in super::super) enum Begun {
    /// A later map is durable already.
    Recorded,
    /// Another append has not ended.
    Busy,
    /// There is no room, and a new log begins with the whole map.
    Full,
    /// There is something to be done.
    Append(Append),
}

impl Log {
    /// The log that was replayed.
    pub(super) fn resume(
        file: Arc<DataFile>,
        header: Header,
        superblock: Superblock,
        replay: &Replay,
    ) -> Self {
        let end = End { superblock, tail: replay.tail, number: replay.batches };
        Self { file, header, end, committed: 0, busy: false }
    }

    /// Whether an append has not ended.
    pub(in super::super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// Begins to make a captured map durable. The bytes that it names are to be so already.
    ///
    /// # Errors
    ///
    /// [`DiskError::Full`], [`DiskError::SyncFailed`]. Nothing has begun.
    pub(in super::super) fn begin(&mut self, capture: &Capture) -> Result<Begun, DiskError> {
        if capture.version <= self.committed {
            return Ok(Begun::Recorded);
        }
        if self.busy {
            return Ok(Begun::Busy);
        }
        self.file.trusted()?;
        let record = |entry| Record::of(entry, &capture.store);
        let records = capture.entries.iter().map(|(cluster, entry)| (*cluster, record(entry)));
        let records = records.filter(|(_, record)| !capture.whole || !record.is_empty()).collect();
        let End { superblock, tail, number } = self.end;
        let position = Position { id: self.header.id, epoch: superblock.epoch, number };
        let batch = self.encode(position, &records)?;
        let cluster = self.header.geometry.cluster.bytes();
        let fits = tail + batch.len() as u64 <= superblock.slots * cluster;
        if !fits && !capture.whole {
            return Ok(Begun::Full);
        }
        let to = (&self.file, &capture.store);
        let append = match fits {
            true => {
                let end = End { tail: tail + batch.len() as u64, number: number + 1, superblock };
                Append::new(to, capture.version, end, (superblock.first * cluster + tail, batch))
            }
            false => {
                let batch = self.encode(
                    Position { epoch: position.epoch + 1, number: 0, ..position },
                    &records,
                )?;
                let superblock = self.new_log(batch.len() as u64, &capture.store)?;
                let end = End { superblock, tail: batch.len() as u64, number: 1 };
                Append::new(to, capture.version, end, (superblock.first * cluster, batch))
                    .replacing(self.end.superblock, self.header.id)
            }
        };
        // From here on the device may name them, however this ends.
        capture.entries.iter().flat_map(|(_, entry)| &entry.parts).for_each(|it| it.slot.record());
        self.busy = true;
        Ok(Begun::Append(append))
    }

    /// An append has been carried out: its map is durable.
    pub(in super::super) fn finished(&mut self, append: Append) {
        (self.end, self.committed, self.busy) = (append.end, append.version, false);
        append.finished();
    }

    /// A step of an append has failed. The map on the device is as before, and the next append tries
    /// again, unless the file cannot be trusted any more.
    pub(in super::super) fn failed(&mut self, append: Append) {
        self.busy = false;
        append.failed();
    }

    /// An append will not be carried on.
    pub(in super::super) fn dropped(&mut self, append: Append) {
        self.busy = false;
        append.dropped();
    }

    /// A place for a log that begins with `len_bytes`.
    fn new_log(&self, len_bytes: u64, store: &Store) -> Result<Superblock, DiskError> {
        let cluster = self.header.geometry.cluster.bytes();
        let slots = LOG_BYTES.max(ROOM * len_bytes).div_ceil(cluster).min(LOG_BYTES_MAX / cluster);
        let first = store.allocate_run(slots)?;
        Ok(Superblock { epoch: self.end.superblock.epoch + 1, first, slots })
    }

    fn encode(&self, position: Position, records: &Records) -> Result<Vec<u8>, DiskError> {
        let full = || DiskError::Full { path: self.file.path().to_owned(), limit: u32::MAX.into() };
        batch::encode(position, records).ok_or_else(full)
    }
}
