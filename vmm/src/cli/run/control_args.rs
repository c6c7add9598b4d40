//! Where the process of a guest is controlled.

use std::path::PathBuf;
use std::sync::Arc;

use super::Failure;
use crate::control::{Server, Session, place};

/// No control socket.
const NONE: &str = "none";

/// Where the process of a guest is controlled.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ControlArgs {
    /// The socket at which this process can be controlled, or `none`. Without it, it is PID.sock in
    /// $XDG_RUNTIME_DIR/pincow, or in /run/pincow for root where that is not set: there `pincow ps` finds it.
    /// Only this user can use it.
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
}

impl ControlArgs {
    /// Begins to listen. A socket that nobody asked for may fail, and that is said.
    pub(super) fn listen(&self, session: &Arc<Session>) -> Result<Option<Server>, Failure> {
        let session = Arc::clone(session);
        match &self.control {
            Some(none) if none.as_os_str() == NONE => Ok(None),
            Some(path) => Ok(Some(Server::start(session, path)?)),
            None => {
                let made = place::own_folder().and_then(|folder| {
                    Server::start(session, &place::socket(&folder, std::process::id()))
                });
                let say = |error: &_| eprintln!("pincow: no control socket: {error}");
                Ok(made.inspect_err(say).ok())
            }
        }
    }
}
