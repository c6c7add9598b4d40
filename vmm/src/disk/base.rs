//! The bottom of a disk: a raw file, or nothing, which reads as zeroes.

use std::path::Path;
use std::sync::Arc;

use super::file::DataFile;
use super::{DiskError, SECTOR_BYTES};

/// What lies under all overlays of a family of disks.
#[derive(Debug)]
pub(super) struct Base {
    file: Option<(Arc<DataFile>, u64)>,
    /// Overlays with a name between it and the disk. They are held so that nobody writes them.
    overlays: Vec<Arc<DataFile>>,
}

impl Base {
    /// Nothing: all sectors hold zeroes.
    pub(super) fn blank() -> Self {
        Self { file: None, overlays: Vec::new() }
    }

    /// A raw file.
    pub(super) fn raw(path: &Path, write: bool, direct: bool) -> Result<Self, DiskError> {
        let file = DataFile::open(path, write, direct)?;
        let bytes = file.size_bytes()?;
        if bytes == 0 || !bytes.is_multiple_of(SECTOR_BYTES) {
            return Err(DiskError::Size { path: path.to_owned(), bytes });
        }
        let file = Some((Arc::new(file), bytes / SECTOR_BYTES));
        Ok(Self { file, overlays: Vec::new() })
    }

    /// Keeps an overlay above it open, and locked.
    pub(super) fn hold(&mut self, overlay: Arc<DataFile>) {
        self.overlays.push(overlay);
    }

    /// Its file, if there is one.
    pub(super) fn file(&self) -> Option<&Arc<DataFile>> {
        self.file.as_ref().map(|(file, _)| file)
    }

    /// How many sectors it has. What lies behind reads as zeroes.
    pub(super) fn sectors(&self) -> u64 {
        self.file.as_ref().map_or(0, |(_, sectors)| *sectors)
    }

    /// Its name for messages.
    pub(super) fn path(&self) -> &Path {
        let below = self.file().or(self.overlays.first());
        below.map_or(Path::new("(no base)"), |file| file.path())
    }
}
