//! Guests of running processes, as people name them: `4711.2`, or `2` where one process runs.

use std::fmt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::Failure;
use crate::control::place::{self, Found};
use crate::control::{Client, Request, Response};

#[cfg(test)]
mod tests;

/// How long an answer may take. A fork may have to wait for disks, and a guest for memory from the host.
const PATIENCE: Duration = Duration::from_secs(120);

/// A guest or snapshot: the process, and the number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) pid: Option<u32>,
    pub(super) number: u32,
}

/// A word that names no guest.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` names no guest: write PID.N as `pincow ps` does, such as 4711.1")]
pub(super) struct NotAName(String);

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let number = |word: &str| match word.bytes().all(|byte| byte.is_ascii_digit()) {
            true => word.parse::<u32>().map_err(|_| NotAName(text.to_owned())),
            false => Err(NotAName(text.to_owned())),
        };
        Ok(match text.split_once('.') {
            Some((pid, rest)) => Self { pid: Some(number(pid)?), number: number(rest)? },
            None => Self { pid: None, number: number(text)? },
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => f.pad(&format!("{pid}.{}", self.number)),
            None => f.pad(&self.number.to_string()),
        }
    }
}

/// Which guest of which process.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Target {
    /// The guest or snapshot, as `pincow ps` lists it: PID.N, or N where one process runs.
    #[arg(value_name = "ID")]
    id: Name,

    /// The control socket of the process, if it is not where `pincow ps` looks.
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
}

/// A connection to the process of a guest.
pub(super) struct Remote {
    client: Client,
    pid: Option<u32>,
    /// The number of the guest in its process.
    pub(super) number: u32,
}

impl Target {
    /// The guest of this name, in the process with this socket if one is named.
    pub(super) fn new(id: Name, control: Option<PathBuf>) -> Self {
        Self { id, control }
    }

    /// Another guest of the same process.
    pub(super) fn of(&self, id: Name) -> Self {
        Self { id, control: self.control.clone() }
    }

    /// Connects to the guest's process.
    pub(super) fn connect(&self) -> Result<Remote, Failure> {
        let Name { pid, number } = self.id;
        let (pid, path) = match (&self.control, pid) {
            (Some(path), pid) => (pid, path.clone()),
            (None, Some(pid)) => (Some(pid), socket_of(pid)?),
            (None, None) => {
                let (pid, path) = only_one()?;
                (Some(pid), path)
            }
        };
        Ok(Remote { client: Client::connect(&path, PATIENCE)?, pid, number })
    }
}

/// The socket of a process that is named.
fn socket_of(pid: u32) -> Result<PathBuf, Failure> {
    let folder = place::folder()?;
    let path = place::socket(&folder, pid);
    if path.symlink_metadata().is_err() {
        let folder = folder.display();
        return Err(Failure::Other(format!(
            "no process {pid} has a control socket in {folder}: `pincow ps` lists those that do, and \
             --control names one elsewhere"
        )));
    }
    Ok(path)
}

/// The only process that has a socket.
fn only_one() -> Result<(u32, PathBuf), Failure> {
    let folder = place::folder()?;
    let Found { live, .. } = place::find(&folder)?;
    match &*live {
        [one] => Ok(one.clone()),
        [] => Err(Failure::Other(format!(
            "no pincow with a control socket in {} runs: --control names a socket elsewhere",
            folder.display()
        ))),
        several => Err(Failure::Other(format!(
            "{} processes run: write PID.N as `pincow ps` does",
            several.len()
        ))),
    }
}

impl Remote {
    /// Has a request carried out.
    pub(super) fn call(&mut self, request: &Request) -> Result<Response, Failure> {
        Ok(self.client.call(request)?)
    }

    /// A connection to the vsock device of the guest.
    pub(super) fn into_guest(self) -> Result<UnixStream, Failure> {
        Ok(self.client.connect_to_guest(self.number)?)
    }

    /// How a guest of that process is named.
    pub(super) fn name(&self, number: u32) -> Name {
        Name { pid: self.pid, number }
    }
}

/// An answer to something else than was asked.
pub(super) fn unexpected(response: &Response) -> Failure {
    Failure::Other(format!("the process answered {response:?}: is it another version of pincow?"))
}
