//! From a Unix socket of the host to a port of the guest.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::ClientError;

/// The longest answer: that of the largest port.
const LINE_MOST: usize = "OK 4294967295\n".len();

/// How often it is tried while nobody listens.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// The least that an answer may take.
const LEAST: Duration = Duration::from_secs(1);

/// Connects to `port` of the guest whose vsock device has the socket `path`. It is tried for
/// `patience`: a guest may not have come so far.
///
/// # Errors
/// [`ClientError`] when nobody listens at the socket, or on the port.
pub fn dial(path: &Path, port: u32, patience: Duration) -> Result<OwnedFd, ClientError> {
    let deadline = Instant::now() + patience;
    dial_by(|| connect(path, deadline), path, port, patience)
}

/// Connects to the socket of a guest, which may not be there yet.
fn connect(path: &Path, deadline: Instant) -> Result<UnixStream, ClientError> {
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return Ok(stream),
            Err(source) if Instant::now() >= deadline => {
                return Err(ClientError::Socket { path: path.to_owned(), source });
            }
            Err(_) => thread::sleep(TRY_EVERY),
        }
    }
}

/// Connects to `port` of a guest over streams that `connect` makes, each to the vsock device of the guest,
/// which messages call `name`. It is tried for `patience`, and given up when `connect` fails.
///
/// # Errors
/// What `connect` says, and [`ClientError::Agent`] when nobody listens on the port.
pub fn dial_by<E: From<ClientError>>(
    mut connect: impl FnMut() -> Result<UnixStream, E>,
    name: &Path,
    port: u32,
    patience: Duration,
) -> Result<OwnedFd, E> {
    let begun = Instant::now();
    loop {
        let stream = connect()?;
        let left = patience.saturating_sub(begun.elapsed());
        if greet(&stream, port, left.max(LEAST)).is_ok() {
            return Ok(stream.into());
        }
        let left = patience.saturating_sub(begun.elapsed());
        if left.is_zero() {
            let (path, waited) = (name.to_owned(), begun.elapsed());
            return Err(ClientError::Agent { path, port, waited }.into());
        }
        thread::sleep(TRY_EVERY.min(left));
    }
}

/// Asks for the port, and reads the line that grants it and nothing more.
fn greet(mut stream: &UnixStream, port: u32, patience: Duration) -> io::Result<()> {
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(format!("CONNECT {port}\n").as_bytes())?;
    let (mut line, mut byte) = (Vec::new(), [0]);
    while byte != *b"\n" && line.len() < LINE_MOST {
        stream.read_exact(&mut byte)?;
        line.extend(byte);
    }
    if !line.starts_with(b"OK ") || !line.ends_with(b"\n") {
        return Err(io::ErrorKind::InvalidData.into());
    }
    stream.set_read_timeout(None)
}
