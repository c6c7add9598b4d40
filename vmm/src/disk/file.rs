//! A file that holds sectors of a disk, and what of it was not made durable yet.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::DiskError;

/// How many names are tried for a temporary file where unnamed ones cannot be made.
const NAMES_TRIED: u32 = 64;

/// A file under a disk.
///
/// Whoever completes a transfer into it calls [`DataFile::wrote`]. A flush takes
/// [`DataFile::unsynced`], syncs, and gives that number back to [`DataFile::synced`], so that what
/// was completed in between is left for the next flush.
#[derive(Debug)]
pub(super) struct DataFile {
    path: PathBuf,
    /// For transfers; with O_DIRECT where that was asked for.
    data: Arc<File>,
    /// For pincow's own reads and writes, which are not aligned. Holds the lock.
    plain: Arc<File>,
    written: AtomicU64,
    synced: AtomicU64,
    sync_failed: AtomicBool,
}

impl DataFile {
    /// Opens a file that is there, and locks it: for itself to write, or with others to read.
    pub(super) fn open(path: &Path, write: bool, direct: bool) -> Result<Self, DiskError> {
        let plain =
            File::options().read(true).write(write).open(path).map_err(DiskError::open(path))?;
        let locked = if write { plain.try_lock() } else { plain.try_lock_shared() };
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DiskError::InUse { path: path.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(DiskError::open(path)(source)),
        }
        Self::over(path.to_owned(), plain, write, direct).map_err(DiskError::open(path))
    }

    /// Makes a file without a name in `dir`. It goes with its last user, however that ends.
    pub(super) fn unnamed(dir: &Path, direct: bool) -> Result<Self, DiskError> {
        let scratch = |source| DiskError::Scratch { dir: dir.to_owned(), source };
        let plain = unnamed(dir).map_err(scratch)?;
        let path = dir.join("(unnamed overlay)");
        Self::over(path, plain, true, direct).map_err(scratch)
    }

    fn over(path: PathBuf, plain: File, write: bool, direct: bool) -> io::Result<Self> {
        let plain = Arc::new(plain);
        let data = match direct {
            true => Arc::new(
                OpenOptions::new()
                    .read(true)
                    .write(write)
                    .custom_flags(libc::O_DIRECT)
                    .open(format!("/proc/self/fd/{}", plain.as_raw_fd()))?,
            ),
            false => Arc::clone(&plain),
        };
        Ok(Self {
            path,
            data,
            plain,
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            sync_failed: AtomicBool::new(false),
        })
    }

    /// Its name, for messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where transfers go.
    pub(super) fn data(&self) -> &Arc<File> {
        &self.data
    }

    /// Where pincow reads and writes itself.
    pub(super) fn plain(&self) -> &Arc<File> {
        &self.plain
    }

    /// Its size in bytes now. Of a block device, the size of the device.
    pub(super) fn size_bytes(&self) -> Result<u64, DiskError> {
        let failed = DiskError::io(&self.path, "finding the end", 0);
        io::Seek::seek(&mut &*self.plain, io::SeekFrom::End(0)).map_err(failed)
    }

    /// Fills `bytes` from `offset`.
    pub(super) fn read(&self, bytes: &mut [u8], offset: u64) -> Result<(), DiskError> {
        self.plain
            .read_exact_at(bytes, offset)
            .map_err(DiskError::io(&self.path, "reading", offset))
    }

    /// Writes `bytes` at `offset`.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), DiskError> {
        self.plain.write_all_at(bytes, offset).map_err(DiskError::io(&self.path, "writing", offset))
    }

    /// Waits until the device has all that was written.
    pub(super) fn sync(&self) -> Result<(), DiskError> {
        self.plain.sync_data().map_err(DiskError::io(&self.path, "syncing", 0))
    }

    /// A transfer into it has completed.
    pub(super) fn wrote(&self) {
        self.written.fetch_add(1, Ordering::Release);
    }

    /// The number to give to [`DataFile::synced`] after a sync; `None` when none is needed.
    pub(super) fn unsynced(&self) -> Option<u64> {
        let written = self.written.load(Ordering::Acquire);
        (self.synced.load(Ordering::Acquire) < written).then_some(written)
    }

    /// A sync that began after [`DataFile::unsynced`] said `written` has succeeded.
    pub(super) fn synced(&self, written: u64) {
        self.synced.fetch_max(written, Ordering::AcqRel);
    }

    /// A sync failed. The kernel says so once and forgets, so the file remembers.
    pub(super) fn fail(&self) {
        self.sync_failed.store(true, Ordering::Release);
    }

    /// Refuses when a sync has failed before.
    pub(super) fn trusted(&self) -> Result<(), DiskError> {
        match self.sync_failed.load(Ordering::Acquire) {
            true => Err(DiskError::SyncFailed { path: self.path.clone() }),
            false => Ok(()),
        }
    }
}

/// A file without a name, or, where the filesystem has no such thing, one whose name is gone.
fn unnamed(dir: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).mode(0o600);
    let made = options.clone().custom_flags(libc::O_TMPFILE).open(dir);
    match made {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR)) => {}
        made => return made,
    }
    for number in 0..NAMES_TRIED {
        let name = dir.join(format!(".pincow-overlay-{}-{number}", std::process::id()));
        match options.create_new(true).open(&name) {
            Ok(file) => {
                std::fs::remove_file(&name)?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
