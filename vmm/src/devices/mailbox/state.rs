//! What a mailbox holds, as plain data: the part that a copy of a guest takes along.

use pincow_guest_protocol::Status;
use pincow_guest_protocol::command::{self, NO_COMMAND};
use pincow_guest_protocol::devices::VALUES;
use serde::{Deserialize, Serialize};

/// A command as the guest sees it: a number and four arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Its code, which is not 0.
    pub code: u64,
    /// Its arguments.
    pub args: [u64; VALUES],
}

impl From<command::Command> for Command {
    fn from(command: command::Command) -> Command {
        Command { code: command.code(), args: command.args() }
    }
}

/// What the guest answered. Anything can be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The status as the guest wrote it.
    pub status: u64,
    /// The values; those that the guest did not write are 0.
    pub values: [u64; VALUES],
}

impl Reply {
    /// The status by name, if it has one.
    pub fn status(&self) -> Option<Status> {
        Status::from_number(self.status)
    }
}

/// Where the one command of a mailbox stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// There is none.
    #[default]
    Idle,
    /// The guest has not read it yet.
    Posted(Command),
    /// The guest is at it.
    Running {
        /// Its code.
        code: u64,
    },
    /// The guest has answered, and nobody has taken the reply yet.
    Done(Reply),
}

/// The registers of a mailbox and its command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxState {
    /// Where the command stands.
    pub progress: Progress,
    /// The argument registers: those of the command that the guest read last.
    pub args: [u64; VALUES],
    /// The reply registers, as far as the guest has written them.
    pub values: [u64; VALUES],
}

impl MailboxState {
    /// Untrusted state is made harmless: a command without a code would be read for ever.
    pub(super) fn settle(&mut self) {
        if let Progress::Posted(Command { code: NO_COMMAND, .. }) = self.progress {
            self.progress = Progress::Idle;
        }
    }

    /// The guest has read the command.
    pub(super) fn begin(&mut self, command: Command) {
        self.args = command.args;
        self.values = [0; VALUES];
        self.progress = Progress::Running { code: command.code };
    }

    /// The guest is done; false if it had nothing to do.
    pub(super) fn finish(&mut self, status: u64) -> bool {
        let running = matches!(self.progress, Progress::Running { .. });
        if running {
            self.progress = Progress::Done(Reply { status, values: self.values });
        }
        running
    }

    /// The guest is done and all is well; `value` is its first value.
    pub(super) fn finish_with(&mut self, value: u64) -> bool {
        self.values[0] = value;
        self.finish(Status::Ok as u64)
    }
}
