//! Where control sockets are, and how stale ones are told from live ones.
//!
//! Each process has `PID.sock` in the runtime folder of its user: `$XDG_RUNTIME_DIR/pincow`, or `/run/pincow`
//! for root where that variable is not set. The folder is its owner's alone. A socket is live when somebody
//! listens: connecting says so. A process that was killed leaves a stale one behind, which whoever comes across
//! it removes. Sockets are made and removed under a lock on their folder (flock(2)), so that nobody takes one
//! for stale that is just being made.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use thiserror::Error;

mod claim;
#[cfg(test)]
mod tests;

pub use claim::Claim;
use claim::lock;

/// The folder of root, where no other is named.
const OF_ROOT: &str = "/run/pincow";

/// A socket that was not made, or a folder that cannot be used.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// There is no runtime folder.
    #[error(
        "there is no folder for control sockets: set XDG_RUNTIME_DIR to a folder of this user, or name \
         a socket (--control PATH)"
    )]
    NoFolder,
    /// Others could use what is in the folder.
    #[error(
        "{0}: control sockets want a folder of this user that nobody else may enter: remove it, or \
         make it so (chown, chmod 700)"
    )]
    Open(PathBuf),
    /// A process listens at this path.
    #[error("{0}: a running pincow has this control socket: choose another path (--control PATH)")]
    Live(PathBuf),
    /// Something else has this path.
    #[error("{0}: this is there and no socket: choose another path (--control PATH), or remove it")]
    NoSocket(PathBuf),
    /// Somebody holds a lock on the folder.
    #[error("{0}: somebody holds a lock on this folder: choose another path (--control PATH)")]
    Locked(PathBuf),
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> PlaceError {
    let path = path.to_owned();
    move |source| PlaceError::Io { path, source }
}

/// This process' user.
fn user() -> io::Result<u32> {
    Ok(fs::metadata("/proc/self")?.uid())
}

/// The folder of this user's sockets, whether it is there or not.
///
/// # Errors
/// [`PlaceError::NoFolder`].
pub fn folder() -> Result<PathBuf, PlaceError> {
    let named = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    match named.filter(|path| path.is_absolute()) {
        Some(named) => Ok(named.join("pincow")),
        None if user().is_ok_and(|user| user == 0) => Ok(PathBuf::from(OF_ROOT)),
        None => Err(PlaceError::NoFolder),
    }
}

/// The folder of this user's sockets, made if it is not there.
///
/// # Errors
/// When there can be none, or others could use it.
pub fn own_folder() -> Result<PathBuf, PlaceError> {
    let folder = folder()?;
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(io_at(&folder)(error)),
        _ => check(&folder).map(|()| folder),
    }
}

/// Whether a folder is its user's alone.
fn check(folder: &Path) -> Result<(), PlaceError> {
    let there = fs::symlink_metadata(folder).map_err(io_at(folder))?;
    let user = user().map_err(io_at(folder))?;
    match there.is_dir() && there.uid() == user && there.mode() & 0o077 == 0 {
        true => Ok(()),
        false => Err(PlaceError::Open(folder.to_owned())),
    }
}

/// The socket of the process `pid` in `folder`.
#[must_use]
pub fn socket(folder: &Path, pid: u32) -> PathBuf {
    folder.join(format!("{pid}.sock"))
}

/// What is at a path.
enum Condition {
    Missing,
    /// A socket at which somebody listens.
    Live,
    /// A socket at which nobody listens.
    Stale,
    NoSocket,
    Unknown(io::Error),
}

fn condition(path: &Path) -> Condition {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Condition::Missing,
        Err(error) => return Condition::Unknown(error),
        Ok(there) if !there.file_type().is_socket() => return Condition::NoSocket,
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Condition::Live,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Condition::Stale,
        Err(error) => Condition::Unknown(error),
    }
}

/// The sockets of a folder.
#[derive(Debug, Default)]
pub struct Found {
    /// Where somebody listens, by process.
    pub live: Vec<(u32, PathBuf)>,
    /// What dead processes left behind, and is removed now.
    pub removed: Vec<PathBuf>,
}

/// The control sockets in `folder`. Stale ones are removed. What has no such name is left alone.
///
/// # Errors
/// When others could use the folder, or it cannot be read. One that is not there has no sockets.
pub fn find(folder: &Path) -> Result<Found, PlaceError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::default()),
        entries => entries.map_err(io_at(folder))?,
    };
    check(folder)?;
    let mut found = Found::default();
    for entry in entries {
        let path = entry.map_err(io_at(folder))?.path();
        let Some(pid) = pid_of(&path) else { continue };
        match condition(&path) {
            Condition::Live => found.live.push((pid, path)),
            Condition::Stale => found.removed.extend(remove_stale(folder, path)?),
            Condition::Missing | Condition::NoSocket | Condition::Unknown(_) => {}
        }
    }
    found.live.sort();
    Ok(found)
}

/// Removes a socket if it is stale with nobody making one.
fn remove_stale(folder: &Path, path: PathBuf) -> Result<Option<PathBuf>, PlaceError> {
    let _lock = lock(folder)?;
    if !matches!(condition(&path), Condition::Stale) {
        return Ok(None);
    }
    fs::remove_file(&path).map_err(io_at(&path))?;
    Ok(Some(path))
}

/// The process whose socket has this name.
fn pid_of(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.strip_suffix(".sock")?.parse().ok()
}
