//! Commands.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::thread;

use super::{Agent, ClientError, parse, unexpected};
use crate::frame::{self, CHUNK, Kind};
use crate::message::{Action, Exec, Reply};

/// How a command has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with an exit status.
    Exited(u8),
    /// By a signal.
    Killed(u8),
}

impl Agent {
    /// Runs a command: `input` is its standard input, and what it writes goes to `output` and
    /// `errors`. `started` is told its process. A thread reads the input, and may do so when the
    /// command has long ended, if nothing comes.
    ///
    /// # Errors
    /// [`ClientError`] when the command was not begun, or its end was not heard of: it may go on.
    pub fn exec(
        self,
        exec: Exec,
        input: impl Read + Send + 'static,
        mut output: impl Write,
        mut errors: impl Write,
        started: impl FnOnce(u32),
    ) -> Result<Ended, ClientError> {
        self.request(Action::Exec(exec))?;
        let mut bytes = Vec::new();
        match self.reply(&mut bytes)? {
            Reply::Started { pid } => started(pid),
            other => return Err(unexpected(other)),
        }
        let agent = Arc::new(self);
        let feeder = Arc::clone(&agent);
        thread::spawn(move || feed(&feeder, input));
        loop {
            let (what, to): (_, &mut dyn Write) = match frame::read(&agent.stream, &mut bytes)? {
                Kind::Stdout => ("standard output", &mut output),
                Kind::Stderr => ("standard error", &mut errors),
                Kind::Reply => {
                    return match parse(&bytes)? {
                        Reply::Exited { code } => Ok(Ended::Exited(code)),
                        Reply::Killed { signal } => Ok(Ended::Killed(signal)),
                        other => Err(unexpected(other)),
                    };
                }
                other => return Err(ClientError::Answer(format!("{other:?}"))),
            };
            to.write_all(&bytes)
                .and_then(|()| to.flush())
                .map_err(|source| ClientError::Local { what: what.to_owned(), source })?;
        }
    }
}

/// Sends all of `input`, and its end. Where the command or the connection has ended, so has this.
fn feed(agent: &Agent, mut input: impl Read) {
    let mut bytes = vec![0; CHUNK];
    loop {
        let len = match input.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // What cannot be read has ended.
            read => read.unwrap_or(0),
        };
        if agent.send(Kind::Data, bytes.get(..len).unwrap_or_default()).is_err() || len == 0 {
            return;
        }
    }
}
