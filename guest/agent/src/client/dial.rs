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
    let begun = Instant::now();
    loop {
        let left = patience.saturating_sub(begun.elapsed());
        let failed = match UnixStream::connect(path) {
            Err(source) => ClientError::Socket { path: path.to_owned(), source },
            Ok(stream) => match greet(&stream, port, left.max(LEAST)) {
                Ok(()) => return Ok(stream.into()),
                Err(_) => {
                    ClientError::Agent { path: path.to_owned(), port, waited: begun.elapsed() }
                }
            },
        };
        if left.is_zero() {
            return Err(failed);
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
