//! Flushes: what was completed before one is durable after it.
//!
//! A flush is a row of steps that somebody else carries out and nobody waits for here:
//!
//! ```text
//! sync all files of the disk
//!   of an overlay with a name whose map has changed, when no other flush is at it:
//!   write a batch to its log, sync
//!   if the log is full: begin again with the whole map, which goes to a new log; sync;
//!   write a superblock, sync
//! ```

use std::fs::File;
use std::mem;
use std::sync::Arc;

use super::file::DataFile;
use super::handle::Shared;
use super::map::Entry;
use super::overlay::{Append, Begun, Log};
use super::store::Store;
use super::{Disk, DiskError};

/// What a map on the device is to say, as it was when the flush began.
#[derive(Debug)]
pub(super) struct Capture {
    pub(super) store: Arc<Store>,
    /// The last change that it contains.
    pub(super) version: u64,
    /// The whole entries of clusters. It holds their slots.
    pub(super) entries: Vec<(u64, Entry)>,
    /// These are all that the map knows, and not only those that have changed.
    pub(super) whole: bool,
    /// Slots that were released before this can be used again afterwards.
    released: u64,
}

/// What a flush needs done now.
#[derive(Debug)]
pub enum FlushStep {
    /// Each of these files is synced (`fdatasync` is enough), in any order. There may be none.
    Sync(Vec<Arc<File>>),
    /// These bytes are written to the file, which is not opened for direct transfers.
    Write {
        /// Which file.
        file: Arc<File>,
        /// Where in it, in bytes.
        offset: u64,
        /// What.
        bytes: Arc<[u8]>,
    },
}

/// How far a flush is when a step of it is done.
#[derive(Debug)]
pub enum FlushProgress {
    /// All that it covers is durable.
    Durable,
    /// It has another step.
    More(Flush),
    /// Another flush of the disk is at the log: to be asked again, by [`Flush::done`].
    Busy(Flush),
}

#[derive(Debug)]
enum Stage {
    Files,
    Log(Append),
    Over,
}

/// A flush under way: carry out its [`step`](Flush::step), then say that it is [`done`](Flush::done).
///
/// Dropped, it promises nothing, and the next flush covers what it would have.
#[derive(Debug)]
#[must_use = "nothing is durable before its last step is done"]
pub struct Flush {
    shared: Arc<Shared>,
    files: Vec<(Arc<DataFile>, u64)>,
    pub(super) capture: Option<Capture>,
    stage: Stage,
}

impl Disk {
    /// Begins to make durable what is complete now, in all files of the disk, whoever wrote it.
    ///
    /// # Errors
    ///
    /// [`DiskError::SyncFailed`] when one of the files cannot be trusted any more.
    pub fn begin_flush(&self) -> Result<Flush, DiskError> {
        self.shared.begin_flush(false)
    }

    /// Flushes, and returns when that is done. To be called before a disk is closed for good.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`], [`DiskError::Full`], [`DiskError::SyncFailed`].
    pub fn flush(&self) -> Result<(), DiskError> {
        self.begin_flush()?.finish()
    }
}

impl Shared {
    fn begin_flush(self: &Arc<Self>, whole: bool) -> Result<Flush, DiskError> {
        let state = self.state.lock();
        let ancestors = state.lineage.iter().filter_map(std::sync::Weak::upgrade);
        let stores: Vec<_> = ancestors.chain(state.store.clone()).collect();
        let files = self.base.file().into_iter().chain(stores.iter().map(|it| it.file()));
        let mut unsynced = Vec::new();
        for file in files {
            file.trusted()?;
            unsynced.extend(file.unsynced().map(|written| (Arc::clone(file), written)));
        }
        let named = state.store.as_ref().filter(|_| self.log.is_some());
        let capture = named.filter(|_| !state.unrecorded.is_empty()).map(|store| Capture {
            store: Arc::clone(store),
            version: state.version,
            entries: match whole {
                true => state.map.entries().map(|(at, entry)| (at, entry.clone())).collect(),
                false => state
                    .unrecorded
                    .keys()
                    .filter_map(|cluster| Some((*cluster, state.map.get(*cluster)?.clone())))
                    .collect(),
            },
            whole,
            released: store.released(),
        });
        drop(state);
        drop(stores);
        Ok(Flush { shared: Arc::clone(self), files: unsynced, capture, stage: Stage::Files })
    }

    /// The turn at the log ends; `tell` says how.
    fn leave_log(&self, tell: impl FnOnce(&mut Log)) {
        if let Some(log) = &self.log {
            tell(&mut log.lock());
            self.log_idle.notify_all();
        }
    }

    fn wait_for_log(&self) {
        let Some(log) = &self.log else { return };
        let mut log = log.lock();
        while log.is_busy() {
            self.log_idle.wait(&mut log);
        }
    }
}

impl Flush {
    /// What is to be done now.
    pub fn step(&self) -> FlushStep {
        match &self.stage {
            Stage::Log(append) => append.step(),
            Stage::Files | Stage::Over => {
                let files = self.files.iter().map(|(file, _)| Arc::clone(file.data()));
                FlushStep::Sync(files.collect())
            }
        }
    }

    /// The step is done. Waits for nothing.
    ///
    /// # Errors
    ///
    /// [`DiskError::Full`], [`DiskError::SyncFailed`]: the flush has failed, and the map on the device
    /// is as before. The next flush tries again.
    pub fn done(mut self) -> Result<FlushProgress, DiskError> {
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Log(append) => Ok(self.appended(append)),
            Stage::Files | Stage::Over => {
                self.files.iter().for_each(|(file, written)| file.synced(*written));
                self.append()
            }
        }
    }

    /// The step has failed, and the flush with it. After a sync that failed the disk's flushes fail
    /// from now on: the kernel says so once and forgets.
    pub fn fail(mut self) {
        if matches!(self.stage, Stage::Files) {
            self.files.iter().for_each(|(file, _)| file.fail());
        }
        self.leave_append(Log::failed);
    }

    /// Does all that is left itself, and waits for it.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`], and as [`Flush::done`].
    pub fn finish(mut self) -> Result<(), DiskError> {
        loop {
            let carried_out = match &self.stage {
                Stage::Log(append) => append.carry_out(),
                Stage::Files | Stage::Over => self.sync_files(),
            };
            if let Err(error) = carried_out {
                self.leave_append(Log::failed);
                return Err(error);
            }
            self = loop {
                match self.done()? {
                    FlushProgress::Durable => return Ok(()),
                    FlushProgress::More(next) => break next,
                    FlushProgress::Busy(same) => {
                        same.shared.wait_for_log();
                        self = same;
                    }
                }
            };
        }
    }

    fn sync_files(&self) -> Result<(), DiskError> {
        self.files.iter().try_for_each(|(file, _)| file.sync().inspect_err(|_| file.fail()))
    }

    /// All bytes are durable: now the map that names them.
    fn append(mut self) -> Result<FlushProgress, DiskError> {
        let (Some(capture), Some(log)) = (&self.capture, &self.shared.log) else {
            return Ok(FlushProgress::Durable);
        };
        let begun = log.lock().begin(capture)?;
        self.stage = match begun {
            Begun::Recorded => return Ok(FlushProgress::Durable),
            Begun::Full => return Ok(FlushProgress::More(self.shared.begin_flush(true)?)),
            Begun::Busy => Stage::Files,
            Begun::Append(append) => Stage::Log(append),
        };
        Ok(match self.stage {
            Stage::Log(_) => FlushProgress::More(self),
            Stage::Files | Stage::Over => FlushProgress::Busy(self),
        })
    }

    fn appended(mut self, mut append: Append) -> FlushProgress {
        if append.advance() {
            self.stage = Stage::Log(append);
            return FlushProgress::More(self);
        }
        self.shared.leave_log(|log| log.finished(append));
        if let Some(capture) = &self.capture {
            let mut state = self.shared.state.lock();
            state.unrecorded.retain(|_, version| *version > capture.version);
            drop(state);
            capture.store.reuse(capture.released);
        }
        FlushProgress::Durable
    }

    /// An append that is under way ends here; `how` tells the log.
    fn leave_append(&mut self, how: impl FnOnce(&mut Log, Append)) {
        if let Stage::Log(append) = mem::replace(&mut self.stage, Stage::Over) {
            self.shared.leave_log(|log| how(log, append));
        }
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        self.leave_append(Log::dropped);
    }
}
