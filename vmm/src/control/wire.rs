//! Lines on a socket: a request, an answer.

use std::io::{self, BufRead, ErrorKind, Write};

use serde::{Deserialize, Serialize};

use super::{ControlError, Request, Response};

#[cfg(test)]
mod tests;

/// The longest line that a client may send, in bytes.
pub const MOST_REQUEST_BYTES: usize = 64 << 10;

/// The longest line that a client reads, in bytes: room for a list of some hundred thousand guests.
pub const MOST_ANSWER_BYTES: usize = 64 << 20;

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It was carried out.
    Ok(Response),
    /// It was not.
    Error(Refusal),
}

/// An error, and the same in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The error.
    #[serde(flatten)]
    pub error: ControlError,
    /// What it says.
    pub message: String,
}

impl From<Result<Response, ControlError>> for Answer {
    fn from(result: Result<Response, ControlError>) -> Self {
        match result {
            Ok(response) => Self::Ok(response),
            Err(error) => Self::Error(Refusal { message: error.to_string(), error }),
        }
    }
}

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A line, without its end.
    Whole(Vec<u8>),
    /// More than the limit without an end of line. What comes next is the rest of it.
    TooLong,
    /// Nothing more. A line that had begun is dropped: whoever wrote it did not finish.
    End,
}

/// Reads one line of at most `most` bytes.
///
/// # Errors
/// When reading fails.
pub fn read_line(from: &mut impl BufRead, most: usize) -> io::Result<Line> {
    let mut line = Vec::new();
    loop {
        let bytes = match from.fill_buf() {
            Ok([]) => return Ok(Line::End),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let taken = end.unwrap_or(bytes.len());
        if line.len() + taken > most {
            return Ok(Line::TooLong);
        }
        line.extend_from_slice(&bytes[..taken]);
        from.consume(end.map_or(taken, |end| end + 1));
        if end.is_some() {
            return Ok(Line::Whole(line));
        }
    }
}

/// What a line asks for.
///
/// # Errors
/// [`ControlError::NotUnderstood`].
pub fn request(line: &[u8]) -> Result<Request, ControlError> {
    serde_json::from_slice(line)
        .map_err(|error| ControlError::NotUnderstood { problem: error.to_string() })
}

/// Writes one value as a line.
///
/// # Errors
/// When writing fails.
pub fn write_line(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    to.write_all(&line)
}
