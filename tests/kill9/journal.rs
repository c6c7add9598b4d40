//! What a guest that is to be killed says of its disk, and where its disk is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What the disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A raw file, written in place.
    Raw,
    /// An overlay with a name, on a raw file that is not written.
    Overlay,
}

impl Kind {
    /// Its file.
    pub(crate) fn path(self, folder: &Path) -> PathBuf {
        folder.join(self.to_string())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "raw",
            Self::Overlay => "overlay",
        })
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = [Self::Raw, Self::Overlay].into_iter().find(|kind| kind.to_string() == text);
        kind.ok_or_else(|| format!("`{text}` is neither raw nor overlay"))
    }
}

/// A line of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A write is about to begin, of pages that were filled with its number as the seed.
    Write {
        /// Its number.
        sequence: u64,
        /// The first sector.
        first: u64,
        /// How many.
        count: u64,
        /// The number of the page of guest memory that it begins in.
        page: u64,
    },
    /// The guest has seen its end, without an error.
    Done {
        /// Its number.
        sequence: u64,
    },
    /// The guest has seen the end of a flush that began when no write was in flight.
    Flushed,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { sequence, first, count, page } => {
                write!(f, "write {sequence} {first} {count} {page}")
            }
            Self::Done { sequence } => write!(f, "done {sequence}"),
            Self::Flushed => f.write_str("flushed"),
        }
    }
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let numbers: Result<Vec<u64>, _> = rest.split_whitespace().map(str::parse).collect();
        match (verb, numbers.as_deref()) {
            ("write", Ok(&[sequence, first, count, page])) => {
                Ok(Self::Write { sequence, first, count, page })
            }
            ("done", Ok(&[sequence])) => Ok(Self::Done { sequence }),
            ("flushed", Ok([])) => Ok(Self::Flushed),
            _ => Err(format!("`{line}` is no line of a journal")),
        }
    }
}
