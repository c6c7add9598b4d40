//! Flushes: what was completed before one is durable after it.

use std::fs::File;
use std::sync::Arc;

use super::file::DataFile;
use super::handle::Shared;
use super::map::Entry;
use super::store::Store;
use super::{Disk, DiskError};

/// What a map on the device is to say, as it was when the flush began.
#[derive(Debug)]
pub(super) struct Capture {
    pub(super) store: Arc<Store>,
    /// The last change that it contains.
    pub(super) version: u64,
    /// The whole entries of the clusters that changed. It holds their slots.
    pub(super) entries: Vec<(u64, Entry)>,
    /// Slots that were released before this can be used again afterwards.
    released: u64,
}

/// A flush under way: sync each of [`Flush::files`], in any order, then [`Flush::commit`].
///
/// Dropped, it promises nothing, and the next flush covers what it would have.
#[derive(Debug)]
#[must_use = "nothing is durable before `commit`"]
pub struct Flush {
    shared: Arc<Shared>,
    files: Vec<(Arc<DataFile>, u64)>,
    pub(super) capture: Option<Capture>,
}

impl Disk {
    /// Begins to make durable what is complete now, in all files of the disk, whoever wrote it.
    ///
    /// # Errors
    ///
    /// [`DiskError::SyncFailed`] when one of the files cannot be trusted any more.
    pub fn begin_flush(&self) -> Result<Flush, DiskError> {
        let state = self.shared.state.lock();
        let ancestors = state.lineage.iter().filter_map(std::sync::Weak::upgrade);
        let stores: Vec<_> = ancestors.chain(state.store.clone()).collect();
        let files = self.shared.base.file().into_iter().chain(stores.iter().map(|it| it.file()));
        let mut unsynced = Vec::new();
        for file in files {
            file.trusted()?;
            unsynced.extend(file.unsynced().map(|written| (Arc::clone(file), written)));
        }
        let named = state.store.as_ref().filter(|_| self.shared.log.is_some());
        let capture = named.filter(|_| !state.unrecorded.is_empty()).map(|store| Capture {
            store: Arc::clone(store),
            version: state.version,
            entries: state
                .unrecorded
                .keys()
                .filter_map(|cluster| Some((*cluster, state.map.get(*cluster)?.clone())))
                .collect(),
            released: store.released(),
        });
        drop(state);
        drop(stores);
        Ok(Flush { shared: Arc::clone(&self.shared), files: unsynced, capture })
    }

    /// Flushes, and returns when that is done. To be called before a disk is closed for good.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`], [`DiskError::Full`], [`DiskError::SyncFailed`].
    pub fn flush(&self) -> Result<(), DiskError> {
        let flush = self.begin_flush()?;
        for (file, _) in &flush.files {
            if let Err(error) = file.sync() {
                file.fail();
                return Err(error);
            }
        }
        flush.commit()
    }
}

impl Flush {
    /// The files to sync (`fdatasync` is enough). Empty when nothing was written.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &Arc<File>> {
        self.files.iter().map(|(file, _)| file.data())
    }

    /// All files are synced. Of an overlay with a name, this writes the map behind the bytes and
    /// waits for it; otherwise it returns at once.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`], [`DiskError::Full`]: the flush has failed, and the map on the device is as
    /// before. The next flush tries again.
    pub fn commit(self) -> Result<(), DiskError> {
        self.files.iter().for_each(|(file, written)| file.synced(*written));
        let (Some(capture), Some(log)) = (&self.capture, &self.shared.log) else { return Ok(()) };
        let mut log = log.lock();
        if log.commit(capture)? {
            let mut state = self.shared.state.lock();
            state.unrecorded.retain(|_, version| *version > capture.version);
            drop(state);
            capture.store.reuse(capture.released);
        }
        Ok(())
    }

    /// A sync failed. The disk remembers, since the kernel does not: its flushes fail from now on.
    pub fn fail(self) {
        self.files.iter().for_each(|(file, _)| file.fail());
    }
}
