//! Frames: what goes over a connection, piece by piece.

use std::io::{self, Read, Write};

use thiserror::Error;

/// The most bytes in a frame. A request has to fit into one.
pub const MOST: usize = 1 << 20;

/// Bytes of data that are put into one frame.
pub const CHUNK: usize = 64 << 10;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// What the host wants. JSON.
    Request = 1,
    /// What came of it. JSON.
    Reply = 2,
    /// Bytes of a file, or for standard input. An empty one is the end of them.
    Data = 3,
    /// Bytes of standard output.
    Stdout = 4,
    /// Bytes of standard error.
    Stderr = 5,
}

impl TryFrom<u8> for Kind {
    type Error = FrameError;

    fn try_from(byte: u8) -> Result<Self, FrameError> {
        Ok(match byte {
            1 => Self::Request,
            2 => Self::Reply,
            3 => Self::Data,
            4 => Self::Stdout,
            5 => Self::Stderr,
            _ => return Err(FrameError::Kind(byte)),
        })
    }
}

/// A frame that was not read.
#[derive(Debug, Error)]
pub enum FrameError {
    /// There is no such kind.
    #[error("a frame of kind {0:#04x}, which there is not: the other end speaks another protocol")]
    Kind(u8),
    /// It is too long.
    #[error("a frame of {0:#x} bytes, and {MOST:#x} are the most")]
    Long(u32),
    /// The connection has ended, within a frame or between two.
    #[error("the connection has ended")]
    Ended,
    /// The connection is broken.
    #[error("the connection is broken: {0}")]
    Broken(#[source] io::Error),
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Ended,
            _ => Self::Broken(error),
        }
    }
}

/// Reads the next frame into `bytes`.
///
/// # Errors
/// [`FrameError`] when there is none. Nothing is set aside for a frame that is too long.
pub fn read(mut from: impl Read, bytes: &mut Vec<u8>) -> Result<Kind, FrameError> {
    let mut header = [0; 5];
    from.read_exact(&mut header)?;
    let [kind, len @ ..] = header;
    let (kind, len) = (Kind::try_from(kind)?, u32::from_le_bytes(len));
    if len as usize > MOST {
        return Err(FrameError::Long(len));
    }
    bytes.resize(len as usize, 0);
    from.read_exact(bytes)?;
    Ok(kind)
}

/// Writes a frame.
///
/// # Errors
/// When the connection is broken, or `bytes` are more than [`MOST`].
pub fn write(mut to: impl Write, kind: Kind, bytes: &[u8]) -> io::Result<()> {
    if bytes.len() > MOST {
        let text = format!("{:#x} bytes for one frame, and {MOST:#x} are the most", bytes.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let mut frame = Vec::with_capacity(5 + bytes.len());
    frame.push(kind as u8);
    frame.extend((bytes.len() as u32).to_le_bytes());
    frame.extend(bytes);
    to.write_all(&frame)
}
