//! A path at which this process listens.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::{Condition, PlaceError, condition, io_at};

/// How long somebody else may hold the lock on a folder.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_AGAIN_EVERY: Duration = Duration::from_millis(5);

/// A path at which this process listens. Dropping it removes the socket.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    /// Device and inode: what is removed is this socket, and no other that has its name by then.
    identity: (u64, u64),
}

impl Claim {
    /// Listens at `path`, which this user alone can connect to. A stale socket there is replaced.
    ///
    /// # Errors
    /// When somebody listens there, something else is there, or the system refuses.
    pub fn listen(path: &Path) -> Result<(UnixListener, Claim), PlaceError> {
        let _lock = lock(parent(path))?;
        match condition(path) {
            Condition::Missing => {}
            Condition::Stale => fs::remove_file(path).map_err(io_at(path))?,
            Condition::Live => return Err(PlaceError::Live(path.to_owned())),
            Condition::NoSocket => return Err(PlaceError::NoSocket(path.to_owned())),
            Condition::Unknown(error) => return Err(io_at(path)(error)),
        }
        let listener = UnixListener::bind(path).map_err(io_at(path))?;
        match keep_others_out(&listener, path).and_then(|()| identity(path)) {
            Ok(identity) => Ok((listener, Claim { path: path.to_owned(), identity })),
            Err(error) => {
                let _ = fs::remove_file(path);
                Err(io_at(path)(error))
            }
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let _lock = lock(parent(&self.path));
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            // Whoever finds it later removes it as stale.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let there = fs::symlink_metadata(path)?;
    Ok((there.dev(), there.ino()))
}

/// Takes the rights of others away, and lets go of whoever connected before.
fn keep_others_out(listener: &UnixListener, path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    while listener.accept().is_ok() {}
    listener.set_nonblocking(false)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A lock on a folder, for as long as the file lives.
pub(super) fn lock(folder: &Path) -> Result<File, PlaceError> {
    let file = File::open(folder).map_err(io_at(folder))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(io_at(folder)(error)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                thread::sleep(LOCK_AGAIN_EVERY);
            }
            Err(TryLockError::WouldBlock) => return Err(PlaceError::Locked(folder.to_owned())),
        }
    }
}
