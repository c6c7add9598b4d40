//! Which guest's agent a command talks to.

use std::path::PathBuf;
use std::time::Duration;

use pincow_guest_agent::PORT;
use pincow_guest_agent::client::{Agent, dial, dial_by};

use super::Failure;
use super::remote::{Name, Target};

/// The options of commands that talk to an agent.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct AgentArgs {
    /// Instead of an ID, the Unix socket of the guest: the path that `pincow run --vsock
    /// cid=CID,uds=PATH` was given.
    #[arg(long, value_name = "PATH")]
    vsock: Option<PathBuf>,

    /// The control socket of the guest's process, if it is not where `pincow ps` looks.
    #[arg(long, value_name = "PATH", conflicts_with = "vsock")]
    control: Option<PathBuf>,

    /// The port that the guest's agent listens on.
    #[arg(long, value_name = "PORT", default_value_t = PORT)]
    port: u32,

    /// How long to wait for a guest, or an agent in it, that is not there yet, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    wait: u32,
}

impl AgentArgs {
    /// A connection, for one request: to guest `id`, or to that of --vsock.
    pub(super) fn connect(&self, id: Option<Name>) -> Result<Agent, Failure> {
        let patience = Duration::from_secs(self.wait.into());
        let connection = match (id, &self.vsock) {
            (None, Some(path)) => dial(path, self.port, patience)?,
            (Some(id), None) => {
                let target = Target::new(id, self.control.clone());
                let name = PathBuf::from(format!("guest {id}"));
                dial_by(|| target.connect()?.into_guest(), &name, self.port, patience)?
            }
            (None, None) | (Some(_), Some(_)) => {
                return Err(Failure::Other(
                    "name the guest once: by its ID, which `pincow ps` lists, or by its socket (--vsock PATH)"
                        .to_owned(),
                ));
            }
        };
        Ok(Agent::new(connection))
    }
}
