//! Commands that are done soon and have little to say.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::{Agent, ClientError, Ended};
use crate::message::Exec;

/// The most bytes of what such a command has to say that are kept.
const SAID_MOST: usize = 4096;

/// The beginning of what is written to it.
#[derive(Default)]
struct Said(Vec<u8>);

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = SAID_MOST.saturating_sub(self.0.len()).min(bytes.len());
        self.0.extend(bytes.iter().take(room));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs a command without input by the agent at the other end of `connection`, and expects it to succeed
/// within `patience`. Whatever the guest does, this ends then. `started` is called when the command is.
///
/// # Errors
/// [`ClientError::Told`] when it did not succeed, and others when it is not known whether it did.
pub fn tell(
    connection: OwnedFd,
    argv: &[&str],
    patience: Duration,
    started: impl FnOnce(),
) -> Result<(), ClientError> {
    let problem = |problem: String| ClientError::Told { command: argv.join(" "), problem };
    let stream = UnixStream::from(connection);
    let watched = stream.try_clone().map_err(|error| problem(error.to_string()))?;
    let (done, is_done) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        let late = is_done.recv_timeout(patience) == Err(RecvTimeoutError::Timeout);
        if late {
            // It fails where the connection has ended already.
            let _ = watched.shutdown(Shutdown::Both);
        }
        late
    });
    let argv = argv.iter().map(|&word| word.to_owned()).collect();
    let exec = Exec { argv, ..Exec::default() };
    let mut said = Said::default();
    let agent = Agent::new(stream.into());
    let ended = agent.exec(exec, io::empty(), io::sink(), &mut said, |_| started());
    drop(done);
    let late = watchdog.join().unwrap_or_default();
    let said = String::from_utf8_lossy(&said.0);
    match ended {
        Ok(Ended::Exited(0)) => Ok(()),
        Ok(Ended::Exited(status)) => Err(problem(format!("exit status {status}: {}", said.trim()))),
        Ok(Ended::Killed(signal)) => Err(problem(format!("signal {signal}: {}", said.trim()))),
        Err(_) if late => Err(problem(format!("it is not done after {patience:?}"))),
        Err(error) => Err(error),
    }
}
