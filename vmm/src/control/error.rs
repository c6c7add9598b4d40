//! Why a request was not carried out.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::wire::MOST_REQUEST_BYTES;
use crate::machine::Stopped;

/// Why a request was not carried out. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ControlError {
    /// The line was none of the requests.
    #[error("the request is not understood: {problem}")]
    NotUnderstood {
        /// What is wrong with it.
        problem: String,
    },
    /// The line was too long.
    #[error("the request is longer than {MOST_REQUEST_BYTES} bytes")]
    TooLong {},
    /// There are too many connections, and all of them are at work.
    #[error("{connections} connections are at work: try again")]
    TooMany {
        /// How many there are.
        connections: usize,
    },
    /// No guest has this number.
    #[error("there is no guest {id}")]
    NoGuest {
        /// The number.
        id: u32,
    },
    /// No snapshot has this number.
    #[error("there is no snapshot {id}")]
    NoSnapshot {
        /// The number.
        id: u32,
    },
    /// It is a snapshot.
    #[error("{id} is a snapshot: guests are made of it (spawn), or it is forgotten (stop)")]
    IsASnapshot {
        /// The number.
        id: u32,
    },
    /// It is a guest.
    #[error("{id} is a guest, not a snapshot: take one of it (snapshot), or fork it")]
    IsAGuest {
        /// The number.
        id: u32,
    },
    /// The guest has ended.
    #[error("guest {id} has ended: {reason}")]
    Ended {
        /// Which.
        id: u32,
        /// Why.
        #[serde(rename = "ended")]
        reason: Stopped,
    },
    /// There is no way to ask the guest to end.
    #[error("guest {id} cannot be asked to end: {problem}")]
    CannotAsk {
        /// Which.
        id: u32,
        /// Why not, and what to do.
        problem: String,
    },
    /// The host, the guest or its rules do not allow it.
    #[error("guest {id}: {problem}")]
    Refused {
        /// The guest or snapshot.
        id: u32,
        /// What was refused, and what to do.
        problem: String,
    },
    /// The last guest has ended, and so does the process.
    #[error("all guests have ended, and the process ends")]
    Closing {},
}
