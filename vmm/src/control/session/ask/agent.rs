//! Linux guests: their agent is asked.

use std::fmt::Display;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use pincow_guest_agent::PORT;
use pincow_guest_agent::client::{ClientError, dial_by, tell};

use crate::guest::Guest;

/// How long the agent may take to answer, and then its command to be done.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a guest was not told, in words.
pub(super) struct Problem(pub(super) String);

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        problem(error)
    }
}

fn problem(error: impl Display) -> Problem {
    Problem(error.to_string())
}

/// Has the agent of a guest run `poweroff`, which is done when init was told.
pub(super) fn power_off(guest: &Guest, id: u32) -> Result<(), Problem> {
    let connect = || -> Result<UnixStream, Problem> {
        if let Some(reason) = guest.machine().ended() {
            return Err(problem(reason));
        }
        let (ours, its) = UnixStream::pair().map_err(problem)?;
        guest.adopt(its).map_err(problem)?;
        Ok(ours)
    };
    let name = PathBuf::from(format!("guest {id}"));
    let connection = dial_by(connect, &name, PORT, PATIENCE)?;
    let mut started = false;
    match tell(connection, &["poweroff"], PATIENCE, || started = true) {
        // Init was fast, and has ended the agent, too.
        Err(ClientError::Frame(_)) if started => Ok(()),
        told => Ok(told?),
    }
}
