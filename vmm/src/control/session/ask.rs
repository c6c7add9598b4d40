//! How guests are asked to end.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use pincow_guest_protocol::{Command, control};

use super::member::Living;
use crate::control::{ControlError, How};
use crate::devices::MailboxError;
use crate::drive::{self, DriveError};
use crate::guest::Guest;

mod agent;

use agent::Problem;

/// How the guests of a session are asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// The embedded guest understands a command to end.
    EmbeddedGuest,
    /// A Linux guest may have an agent, which can switch it off.
    Agent,
    /// There is no way.
    NoWay,
}

/// How long a guest may take to end what it does before it can be told.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a guest is told that is at work.
const AGAIN_EVERY: Duration = Duration::from_millis(5);

impl Living<'_> {
    /// Asks the guest to end. It may take its time. Others may operate on a guest whose agent is asked.
    pub(super) fn ask_to_end(self, asking: Asking) -> Result<How, ControlError> {
        let refused = |problem: &str| {
            Err(ControlError::CannotAsk { id: self.id(), problem: problem.to_owned() })
        };
        if self.paused {
            return refused("it is paused: resume it first, or end it at once with --kill");
        }
        match asking {
            Asking::EmbeddedGuest => self.tell_to_end(),
            Asking::Agent => {
                let (id, guest) = (self.id(), Arc::clone(&self.guest));
                drop(self);
                switch_off(&guest, id)
            }
            Asking::NoWay => refused("it understands no such command: end it at once with --kill"),
        }
    }

    /// The embedded guest ends what it does when its control page says so, then it ends.
    fn tell_to_end(&self) -> Result<How, ControlError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.tell_once() {
                Ok(()) | Err(DriveError::Ended(_)) => return Ok(How::Told),
                Err(DriveError::Mailbox { source: MailboxError::Busy { .. }, .. })
                    if Instant::now() < deadline =>
                {
                    thread::sleep(AGAIN_EVERY);
                }
                Err(error) => {
                    let problem = format!("{error}: end it at once with --kill");
                    return Err(ControlError::CannotAsk { id: self.id(), problem });
                }
            }
        }
    }

    fn tell_once(&self) -> Result<(), DriveError> {
        drive::set_control_word(&self.guest, 0, control::STOP, 1)?;
        drive::post(&self.guest, 0, Command::Exit { code: 0 })
    }
}

/// A Linux guest ends what runs, unmounts its file systems and switches itself off.
fn switch_off(guest: &Guest, id: u32) -> Result<How, ControlError> {
    match agent::power_off(guest, id) {
        Ok(()) => Ok(How::Told),
        Err(_) if guest.machine().ended().is_some() => Ok(How::WasOver),
        Err(Problem(problem)) => {
            let otherwise = "let it switch itself off (poweroff), or end it at once with --kill";
            Err(ControlError::CannotAsk { id, problem: format!("{problem}; {otherwise}") })
        }
    }
}
