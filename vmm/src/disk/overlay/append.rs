//! One append to a log, step by step.

use std::sync::Arc;

use super::super::DiskError;
use super::super::file::DataFile;
use super::super::flush::FlushStep;
use super::super::store::Store;
use super::superblock::Superblock;

/// Where a log is, and how far it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) superblock: Superblock,
    /// Where the next batch goes, in bytes from the start of the log.
    pub(super) tail: u64,
    /// The number of the next batch.
    pub(super) number: u64,
}

/// What is to be done. The last two are of an append that begins a new log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    WriteBatch,
    SyncBatch,
    WriteSuperblock,
    SyncSuperblock,
}

/// A batch on its way to the device. [`Log`](super::Log) has not changed before it is there.
#[derive(Debug)]
pub(in super::super) struct Append {
    file: Arc<DataFile>,
    store: Arc<Store>,
    /// The version of the disk's map that is durable then.
    pub(super) version: u64,
    /// The log then.
    pub(super) end: End,
    /// The superblock that is written then, and the one of the log that goes.
    replaces: Option<(SuperblockWrite, Superblock)>,
    stage: Stage,
    offset: u64,
    bytes: Arc<[u8]>,
}

/// A superblock's place and bytes.
type SuperblockWrite = (u64, Arc<[u8]>);

impl Append {
    /// A batch that goes to `offset` of `file`, after which the log is as `end` says.
    pub(super) fn new(
        (file, store): (&Arc<DataFile>, &Arc<Store>),
        version: u64,
        end: End,
        (offset, batch): (u64, Vec<u8>),
    ) -> Self {
        let (file, store) = (Arc::clone(file), Arc::clone(store));
        let (stage, bytes) = (Stage::WriteBatch, batch.into());
        Self { file, store, version, end, replaces: None, stage, offset, bytes }
    }

    /// The same, and the batch begins a log in the place of the one at `old`, of the overlay `id`.
    pub(super) fn replacing(self, old: Superblock, id: u64) -> Self {
        let (place, bytes) = self.end.superblock.encode(id);
        Self { replaces: Some(((place, bytes.into()), old)), ..self }
    }

    /// What is to be done now.
    pub(in super::super) fn step(&self) -> FlushStep {
        match self.stage {
            Stage::WriteBatch | Stage::WriteSuperblock => FlushStep::Write {
                file: Arc::clone(self.file.plain()),
                offset: self.offset,
                bytes: Arc::clone(&self.bytes),
            },
            Stage::SyncBatch | Stage::SyncSuperblock => {
                FlushStep::Sync(vec![Arc::clone(self.file.plain())])
            }
        }
    }

    /// Does it, and waits.
    pub(in super::super) fn carry_out(&self) -> Result<(), DiskError> {
        match self.stage {
            Stage::WriteBatch | Stage::WriteSuperblock => self.file.write(&self.bytes, self.offset),
            Stage::SyncBatch | Stage::SyncSuperblock => self.file.sync(),
        }
    }

    /// It is done. Whether there is more.
    pub(in super::super) fn advance(&mut self) -> bool {
        self.stage = match (self.stage, &self.replaces) {
            (Stage::WriteBatch, _) => Stage::SyncBatch,
            (Stage::SyncBatch, Some(((offset, bytes), _))) => {
                (self.offset, self.bytes) = (*offset, Arc::clone(bytes));
                Stage::WriteSuperblock
            }
            (Stage::WriteSuperblock, _) => Stage::SyncSuperblock,
            (Stage::SyncBatch, None) | (Stage::SyncSuperblock, _) => return false,
        };
        true
    }

    /// All is done: nobody needs the old log.
    pub(super) fn finished(self) {
        if let Some((_, old)) = self.replaces {
            self.store.free_run(old.first, old.slots);
        }
    }

    /// What was to be done has failed.
    pub(super) fn failed(self) {
        if self.stage == Stage::SyncBatch {
            self.file.fail();
        }
        self.dropped();
    }

    /// Nobody knows whether what was to be done was done. A batch counts for nothing yet; but half a
    /// superblock is none, and a whole one counts, so that nobody knows where the log is.
    pub(super) fn dropped(self) {
        match (self.stage, &self.replaces) {
            (Stage::WriteSuperblock | Stage::SyncSuperblock, _) => self.file.fail(),
            (_, Some(_)) => {
                let Superblock { first, slots, .. } = self.end.superblock;
                self.store.free_run(first, slots);
            }
            (_, None) => {}
        }
    }
}
