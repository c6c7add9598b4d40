//! Where the host's programs find a guest: a Unix socket of its own, and those beside it.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use thiserror::Error;

#[cfg(test)]
mod tests;

/// Bytes that a path may have, so that `PATH_PORT` with the longest port still is the name of a
/// socket: `sun_path` (unix(7)) holds 108 bytes and ends with a zero.
const PATH_MOST: usize = 107 - "_4294967295".len();

/// Programs that may wait until their connection is taken.
const BACKLOG: i32 = 128;

/// A socket that is not there. Each message begins with the path and ends with what to do.
#[derive(Debug, Error)]
pub enum HostSocketError {
    /// Somebody listens there.
    #[error("{0}: something listens there: each guest needs a socket of its own (another path)")]
    InUse(String),
    /// It is not a socket, so nobody's to remove.
    #[error("{0}: it exists and is not a socket: remove it, or choose another path")]
    NotASocket(String),
    /// There is no room for the name.
    #[error("{0}: a socket's path has at most {PATH_MOST} bytes: choose a shorter one")]
    TooLong(String),
    /// The system refused.
    #[error(
        "{path}: making a socket there: {source}: is the folder there, and this user's to write?"
    )]
    Bind {
        /// Where.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

/// A Unix socket that takes the connections which the host begins. Only this user (and root) can
/// connect. Its path is removed when it is dropped.
#[derive(Debug)]
pub struct HostSocket {
    path: PathBuf,
    listener: UnixListener,
    /// Of the path, as it was made.
    identity: (u64, u64),
}

impl HostSocket {
    /// Listens at `path`. A socket that is left there, and that nobody listens at, is replaced.
    ///
    /// # Errors
    /// [`HostSocketError`] when it is somebody else's, or cannot be made.
    pub fn bind(path: &Path) -> Result<Self, HostSocketError> {
        let name = || path.display().to_string();
        if path.as_os_str().len() > PATH_MOST {
            return Err(HostSocketError::TooLong(name()));
        }
        if let Ok(found) = fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                return Err(HostSocketError::NotASocket(name()));
            }
            if is_heard(path) {
                return Err(HostSocketError::InUse(name()));
            }
            // Where it fails, so does what follows.
            let _ = fs::remove_file(path);
        }
        let made = listen(path).and_then(|listener| {
            let identity = identity(&fs::symlink_metadata(path)?);
            Ok(Self { path: path.to_owned(), listener, identity })
        });
        made.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => HostSocketError::InUse(name()),
            _ => HostSocketError::Bind { path: name(), source },
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next connection, which does not block.
    pub(super) fn accept(&self) -> io::Result<UnixStream> {
        let (stream, _) = self.listener.accept()?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    }

    /// A connection to whoever listens for port `port` of the host. Nothing here waits: one whose
    /// queue is full refuses.
    pub(super) fn connect(&self, port: u32) -> io::Result<UnixStream> {
        let mut path = OsString::from(&self.path);
        path.push(format!("_{port}"));
        connect(Path::new(&path))
    }

    pub(super) fn source(&self) -> RawFd {
        self.listener.as_raw_fd()
    }
}

impl Drop for HostSocket {
    fn drop(&mut self) {
        // What somebody else has put there stays.
        if fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn socket() -> io::Result<Socket> {
    Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)
}

fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = socket()?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(OwnedFd::from(socket).into())
}

/// Whether a program listens there, be it one whose queue is full.
fn is_heard(path: &Path) -> bool {
    match connect(path) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::ConnectionRefused,
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    // What bind makes has the permissions of the socket that is bound, so that there is no moment at
    // which others can connect.
    let file = File::from(OwnedFd::from(socket()?));
    file.set_permissions(Permissions::from_mode(0o600))?;
    let socket = Socket::from(OwnedFd::from(file));
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    Ok(OwnedFd::from(socket).into())
}
