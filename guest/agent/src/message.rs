//! Requests and replies.

use serde::{Deserialize, Serialize};

/// What this crate speaks. It changes when an older end would misunderstand a newer one.
pub const VERSION: u32 = 1;

/// What the host wants. An agent of another version answers with an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// [`VERSION`].
    pub version: u32,
    /// What is to be done.
    pub action: Action,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Runs a command.
    Exec(Exec),
    /// Writes a file: whole, or not at all.
    Write {
        /// Where, in the guest.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// Reads a file.
    Read {
        /// Which, in the guest.
        path: String,
    },
    /// Sends a signal to a command: to its whole process group.
    Signal {
        /// As [`Reply::Started`] has said.
        pid: u32,
        /// Its number.
        signal: u32,
    },
}

/// A command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// The program, looked for in PATH, and its arguments.
    pub argv: Vec<String>,
    /// What it has in its environment beside what the agent has.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Where it runs; where the agent does if this is not said.
    #[serde(default)]
    pub cwd: Option<String>,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The command runs.
    Started {
        /// Its process, which is its process group.
        pid: u32,
    },
    /// The command has ended by itself.
    Exited {
        /// Its exit status.
        code: u8,
    },
    /// A signal has ended the command.
    Killed {
        /// Its number.
        signal: u8,
    },
    /// The file is in its place, or all of it was sent.
    Written {
        /// How long it is.
        bytes: u64,
    },
    /// The file's bytes follow.
    Content {
        /// Its permission bits.
        mode: u32,
    },
    /// The signal was sent.
    Sent,
    /// It could not be done.
    Error(Refusal),
}

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind of reason.
    pub reason: Reason,
    /// In words.
    pub message: String,
}

/// Kinds of reasons that a program may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The request makes no sense to this agent.
    Request,
    /// There is no such program.
    NoProgram,
    /// The program cannot be run.
    NotRunnable,
    /// Anything else; the message says what.
    Failed,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Reason::Failed, message)
    }
}
