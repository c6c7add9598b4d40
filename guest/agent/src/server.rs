//! The agent's side of a connection.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use crate::frame::{self, FrameError, Kind};
use crate::message::{Action, Reason, Refusal, Reply, Request, VERSION};

mod exec;
mod file;

/// The host's end of a connection. Frames of several threads do not mix.
struct Host {
    stream: File,
    writer: Mutex<()>,
}

/// Serves a connection until its request is done with. `connection` is a stream socket.
pub fn serve(connection: OwnedFd) {
    let host = Host { stream: File::from(connection), writer: Mutex::new(()) };
    let done = host.request().and_then(|action| match action {
        Action::Exec(command) => exec::run(&host, &command),
        Action::Write { path, mode } => file::write(&host, path.as_ref(), mode),
        Action::Read { path } => file::read(&host, path.as_ref()),
        Action::Signal { pid, signal } => exec::signal(pid, signal),
    });
    match done {
        Ok(reply) => host.reply(&reply),
        Err(refusal) => host.reply(&Reply::Error(refusal)),
    }
}

/// What every version has.
#[derive(Deserialize)]
struct AnyRequest {
    version: u32,
}

impl Host {
    /// The next frame.
    fn read(&self, bytes: &mut Vec<u8>) -> Result<Kind, FrameError> {
        frame::read(&self.stream, bytes)
    }

    /// Writes a frame. Where the host has gone, there is nobody to tell.
    fn write(&self, kind: Kind, bytes: &[u8]) {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = frame::write(&self.stream, kind, bytes);
    }

    /// Writes bytes of a file.
    fn send(&self, bytes: &[u8]) -> Result<(), Refusal> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        frame::write(&self.stream, Kind::Data, bytes)
            .map_err(|error| Refusal::failed(format!("the connection: {error}")))
    }

    fn reply(&self, reply: &Reply) {
        let bytes = serde_json::to_vec(reply).unwrap_or_default();
        self.write(Kind::Reply, &bytes);
    }

    fn request(&self) -> Result<Action, Refusal> {
        let refused = |message: String| Refusal::new(Reason::Request, message);
        let mut bytes = Vec::new();
        match self.read(&mut bytes) {
            Ok(Kind::Request) => {}
            Ok(kind) => {
                return Err(refused(format!("a connection begins with a request, not {kind:?}")));
            }
            Err(error) => return Err(refused(error.to_string())),
        }
        let broken = |error: serde_json::Error| refused(format!("not a request: {error}"));
        let any: AnyRequest = serde_json::from_slice(&bytes).map_err(broken)?;
        if any.version != VERSION {
            let version = any.version;
            return Err(refused(format!(
                "a request of version {version}, and this agent speaks {VERSION}: bring the same \
                 version of pincow into the guest"
            )));
        }
        let request: Request = serde_json::from_slice(&bytes).map_err(broken)?;
        Ok(request.action)
    }
}
