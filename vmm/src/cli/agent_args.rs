//! Which guest's agent a command talks to.

use std::path::PathBuf;
use std::time::Duration;

use pincow_guest_agent::PORT;
use pincow_guest_agent::client::{Agent, ClientError, dial};

/// The options of commands that talk to an agent.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct AgentArgs {
    /// The Unix socket of the guest: the path that `pincow run --vsock cid=CID,uds=PATH` was given.
    #[arg(long, value_name = "PATH")]
    vsock: PathBuf,

    /// The port that the guest's agent listens on.
    #[arg(long, value_name = "PORT", default_value_t = PORT)]
    port: u32,

    /// How long to wait for a guest, or an agent in it, that is not there yet, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    wait: u32,
}

impl AgentArgs {
    /// A connection, for one request.
    pub(super) fn connect(&self) -> Result<Agent, ClientError> {
        let patience = Duration::from_secs(self.wait.into());
        dial(&self.vsock, self.port, patience).map(Agent::new)
    }
}
