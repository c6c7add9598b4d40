//! The host's side of a connection.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::frame::{self, FrameError, Kind};
use crate::message::{Action, Refusal, Reply, Request, VERSION};

mod copy;
mod dial;
mod exec;
mod tell;

pub use dial::{dial, dial_by};
pub use exec::Ended;
pub use tell::tell;

/// Something that the agent was asked for and that did not come about.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody is there.
    #[error("{path}: {source}: no guest listens there: give the path of its `pincow run --vsock`")]
    Socket {
        /// The Unix socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The guest has no agent.
    #[error(
        "{path}: nothing in the guest listens on port {port}, or it has not begun to within \
         {waited:?}: start pincow-agent there (images/README.md), or wait longer"
    )]
    Agent {
        /// The Unix socket.
        path: PathBuf,
        /// The port.
        port: u32,
        /// For how long it was tried.
        waited: Duration,
    },
    /// The agent says why not.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// A command that was to be done soon did not succeed.
    #[error("`{command}` in the guest: {problem}")]
    Told {
        /// The command.
        command: String,
        /// What became of it.
        problem: String,
    },
    /// The connection ended too early, or was not understood.
    #[error("the agent: {0}")]
    Frame(#[from] FrameError),
    /// The agent says what does not belong there.
    #[error("the agent answers {0}, which makes no sense here: is it of another version?")]
    Answer(String),
    /// The connection broke while something was sent.
    #[error("sending to the agent: {0}")]
    Send(#[source] io::Error),
    /// A file or stream of the host.
    #[error("{what}: {source}")]
    Local {
        /// Which.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl ClientError {
    fn local(what: &Path) -> impl Fn(io::Error) -> Self {
        let what = what.display().to_string();
        move |source| Self::Local { what: what.clone(), source }
    }
}

/// A connection to an agent, for one request.
pub struct Agent {
    stream: File,
}

impl Agent {
    /// The agent at the other end of a stream socket.
    #[must_use]
    pub fn new(connection: OwnedFd) -> Self {
        Self { stream: File::from(connection) }
    }

    /// Sends a signal to a command, which `pid` is the process of.
    ///
    /// # Errors
    /// [`ClientError`] when it was not sent.
    pub fn signal(self, pid: u32, signal: u32) -> Result<(), ClientError> {
        self.request(Action::Signal { pid, signal })?;
        match self.reply(&mut Vec::new())? {
            Reply::Sent => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    fn request(&self, action: Action) -> Result<(), ClientError> {
        let request = Request { version: VERSION, action };
        let bytes =
            serde_json::to_vec(&request).map_err(|error| ClientError::Send(error.into()))?;
        self.send(Kind::Request, &bytes)
    }

    fn send(&self, kind: Kind, bytes: &[u8]) -> Result<(), ClientError> {
        frame::write(&self.stream, kind, bytes).map_err(ClientError::Send)
    }

    /// The next frame, which is to be a reply.
    fn reply(&self, bytes: &mut Vec<u8>) -> Result<Reply, ClientError> {
        match frame::read(&self.stream, bytes)? {
            Kind::Reply => parse(bytes),
            other => Err(ClientError::Answer(format!("{other:?}"))),
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Reply, ClientError> {
    let text = || String::from_utf8_lossy(bytes).into_owned();
    serde_json::from_slice(bytes).map_err(|_| ClientError::Answer(text()))
}

fn unexpected(reply: Reply) -> ClientError {
    match reply {
        Reply::Error(refusal) => ClientError::Refused(refusal),
        other => ClientError::Answer(format!("{other:?}")),
    }
}
