//! Files that appear under their name when they are whole, or never.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::super::DiskError;

/// A file that is written beside the place where it will be. Dropped, it is gone.
pub(super) struct WrittenBeside {
    file: File,
    beside: PathBuf,
    target: PathBuf,
}

impl WrittenBeside {
    /// Begins a file that will be at `target`, where there is none.
    pub(super) fn new(target: &Path) -> Result<Self, DiskError> {
        let failed = DiskError::open(target);
        if target.symlink_metadata().is_ok() {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        let Some(name) = target.file_name() else {
            return Err(failed(io::ErrorKind::InvalidFilename.into()));
        };
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.new", std::process::id()));
        let beside = target.with_file_name(hidden);
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&beside)
            .map_err(DiskError::open(&beside))?;
        Ok(Self { file, beside, target: target.to_owned() })
    }

    /// The name that it has until it is whole.
    pub(super) fn path(&self) -> &Path {
        &self.beside
    }

    /// The file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Makes it this long. What was not written reads as zeroes.
    pub(super) fn set_size(&self, bytes: u64) -> Result<(), DiskError> {
        self.file.set_len(bytes).map_err(DiskError::io(&self.beside, "setting the size", bytes))
    }

    /// Makes it durable and gives it its name, which nobody else may have taken meanwhile.
    pub(super) fn publish(self) -> Result<(), DiskError> {
        self.file.sync_all().map_err(DiskError::io(&self.beside, "syncing", 0))?;
        std::fs::hard_link(&self.beside, &self.target).map_err(DiskError::open(&self.target))?;
        let parent = self.target.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = parent.unwrap_or(Path::new("."));
        let synced = File::open(dir).and_then(|dir| dir.sync_all());
        synced.map_err(DiskError::io(dir, "syncing", 0))
    }
}

impl Drop for WrittenBeside {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.beside);
    }
}
