//! The other end of a control socket.

use std::io::{self, BufReader, ErrorKind};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::wire::{self, Answer, Line, MOST_ANSWER_BYTES, Refusal};
use super::{ControlError, Request, Response};

/// A request that was not answered, or not as it was meant.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody is there.
    #[error("{path}: {source}: `pincow ps` lists what runs")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The connection broke.
    #[error("{path}: the answer did not come: {source}")]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The process was silent for too long.
    #[error("{path}: no answer within {patience:?}: the process may be stopped or very busy")]
    Silent {
        /// The socket.
        path: PathBuf,
        /// How long it was waited for.
        patience: Duration,
    },
    /// The process ended before it answered.
    #[error("{path}: the process ended the connection without an answer")]
    Gone {
        /// The socket.
        path: PathBuf,
    },
    /// The answer was none.
    #[error("{path}: the answer is not understood ({problem}): is it another version of pincow?")]
    NotUnderstood {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The request was not carried out.
    #[error(transparent)]
    Refused(#[from] ControlError),
}

/// A connection to a control socket.
pub struct Client {
    path: PathBuf,
    patience: Duration,
    reader: BufReader<UnixStream>,
}

impl Client {
    /// Connects. Each answer may take `patience`.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub fn connect(path: &Path, patience: Duration) -> Result<Client, ClientError> {
        let connect = || {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(patience))?;
            stream.set_write_timeout(Some(patience))?;
            Ok(stream)
        };
        let path = path.to_owned();
        match connect() {
            Ok(stream) => Ok(Client { path, patience, reader: BufReader::new(stream) }),
            Err(source) => Err(ClientError::Connect { path, source }),
        }
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when it was answered and not carried out; another one when it is not known
    /// whether it was.
    pub fn call(&mut self, request: &Request) -> Result<Response, ClientError> {
        match self.exchange(request)? {
            Answer::Ok(response) => Ok(response),
            Answer::Error(Refusal { error, .. }) => Err(error.into()),
        }
    }

    /// Connects to guest `id`: what comes back is a connection to its vsock device, on which `CONNECT PORT` is
    /// to be written.
    ///
    /// # Errors
    /// As for [`call`](Self::call).
    pub fn connect_to_guest(mut self, id: u32) -> Result<UnixStream, ClientError> {
        let not_understood = |path: &Path, problem: String| {
            Err(ClientError::NotUnderstood { path: path.to_owned(), problem })
        };
        match self.call(&Request::Connect { id })? {
            Response::Connected { .. } => {}
            other => return not_understood(&self.path, format!("{other:?}")),
        }
        if !self.reader.buffer().is_empty() {
            return not_understood(&self.path, "more came than was asked for".to_owned());
        }
        let broken = |source| ClientError::Broken { path: self.path, source };
        let stream = self.reader.into_inner();
        let waits = stream.set_read_timeout(None).and_then(|()| stream.set_write_timeout(None));
        waits.map(|()| stream).map_err(broken)
    }

    fn exchange(&mut self, request: &Request) -> Result<Answer, ClientError> {
        let path = || self.path.clone();
        let patience = self.patience;
        let broken = |source: io::Error| match source.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                ClientError::Silent { path: path(), patience }
            }
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                ClientError::Gone { path: path() }
            }
            _ => ClientError::Broken { path: path(), source },
        };
        let not_understood = |problem: String| ClientError::NotUnderstood { path: path(), problem };
        wire::write_line(&mut self.reader.get_ref(), request).map_err(broken)?;
        match wire::read_line(&mut self.reader, MOST_ANSWER_BYTES).map_err(broken)? {
            Line::End => Err(ClientError::Gone { path: path() }),
            Line::TooLong => Err(not_understood("it is too long".to_owned())),
            Line::Whole(line) => {
                serde_json::from_slice(&line).map_err(|error| not_understood(error.to_string()))
            }
        }
    }
}
