//! The console of the embedded guest: a line of words, an answer.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use pincow_guest_protocol::{Command, control};

use super::words::{self, HELP, Wish};
use super::{Failure, serial};
use crate::control::session::FIRST;
use crate::control::{GuestInfo, GuestState, Made, Request, Session};
use crate::devices::MailboxError;
use crate::drive::{self, DriveError, Storm, StormEnd};
use crate::guest::Guest;

/// What comes after a line.
pub(super) enum Next {
    /// Another line.
    Line,
    /// The end of the guest, with this code.
    End(u64),
}

/// Talks to the guests of a session: the first one and its descendants, by their numbers there.
pub(super) struct Console<'a> {
    session: &'a Session,
    forks: Vec<u32>,
    current: u32,
    storm: Option<Storm>,
    json: bool,
}

/// How long a guest may take to end what it does before it is told to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is told.
const AGAIN_EVERY: Duration = Duration::from_millis(5);

impl<'a> Console<'a> {
    pub(super) fn new(session: &'a Session, json: bool) -> Self {
        Self { session, forks: Vec::new(), current: FIRST, storm: None, json }
    }

    /// Talk goes to stderr, as stdout is the guest's serial line.
    fn say(&self, what: impl AsRef<str>) {
        eprintln!("{}", what.as_ref());
    }

    /// The guest that is talked to, if it can answer. If not, that is said.
    fn guest(&self) -> Option<Arc<Guest>> {
        let state = self.session.state(self.current);
        if let Ok(GuestState::Running) = state {
            return self.session.guest(self.current);
        }
        match state {
            // The first guest's end ends the command, which says why.
            Ok(GuestState::Ended(_)) if self.current == FIRST => {}
            Ok(state) => self.say(format!("guest {}: {state}", self.current)),
            Err(error) => self.say(error.to_string()),
        }
        None
    }

    /// Waits until the guest is there.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        if let Some(guest) = self.guest() {
            drive::wait_ready(&guest)?;
            self.say("pincow: the guest is ready; type help, or Ctrl-C to end");
        }
        Ok(())
    }

    /// Does what a line says. Mistakes in it, and what is refused, are said and forgiven.
    pub(super) fn obey(&mut self, line: &str) -> Result<Next, Failure> {
        let wish = match words::read(line) {
            Ok(wish) => wish,
            Err(reason) => {
                self.say(reason);
                return Ok(Next::Line);
            }
        };
        match wish {
            Wish::Nothing => {}
            Wish::Help => self.say(HELP),
            Wish::Guests => self.list(),
            Wish::Fork => self.fork(),
            Wish::Switch(number) => match self.session.state(number) {
                Ok(_) => {
                    self.current = number;
                    self.say(format!("guest {number}"));
                }
                Err(error) => self.say(error.to_string()),
            },
            Wish::Ask(command) => {
                self.with_guest(|guest| {
                    drive::call(guest, 0, command).map(|values| answer(command, &values))
                })?;
            }
            Wish::Storm { sectors, depth, seed } => {
                let storm = Storm { sectors, depth, most: MOST_SECTORS, seed };
                self.storm = Some(storm);
                self.with_guest(|guest| storm.start(guest).map(|()| "the storm is on".to_owned()))?;
            }
            Wish::Calm => match self.storm {
                Some(storm) => self.with_guest(|guest| storm.stop(guest).map(|end| calm(&end)))?,
                None => self.say("there was no storm"),
            },
            Wish::End(code) => return Ok(Next::End(code)),
        }
        Ok(Next::Line)
    }

    /// Asks the guest for something and says its answer.
    fn with_guest(
        &self,
        ask: impl FnOnce(&Guest) -> Result<String, DriveError>,
    ) -> Result<(), Failure> {
        let Some(guest) = self.guest() else { return Ok(()) };
        match ask(&guest) {
            Ok(answer) => self.say(format!("guest {}: {answer}", self.current)),
            // The first guest's end ends the command, which says why.
            Err(DriveError::Ended(_)) if self.current == FIRST => {}
            Err(DriveError::Ended(reason)) => self.say(format!("guest {}: {reason}", self.current)),
            Err(error @ (DriveError::Refused { .. } | DriveError::Mailbox { .. })) => {
                self.say(error.to_string());
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn fork(&mut self) {
        let own = || Ok(serial(self.json).into());
        match self.session.fork(self.current, own) {
            Ok(Made { id, parent, pause_us, transfers_in_flight, .. }) => {
                self.forks.push(id);
                let transfers = match transfers_in_flight {
                    0 => String::new(),
                    count => format!(", with {count} disk transfers in flight"),
                };
                self.say(format!(
                    "guest {id} is a fork of guest {parent}, paused {pause_us} us{transfers}"
                ));
            }
            Err(error) => self.say(error.to_string()),
        }
    }

    fn list(&self) {
        for GuestInfo { id, state, frames, .. } in self.session.list().guests {
            let frames = frames.unwrap_or_default();
            self.say(format!(
                "guest {id}: {state}; {} frames shared, {} its own",
                frames.shared, frames.unique
            ));
        }
    }

    /// Lets the first guest end by itself, with `code`. One that cannot, because it stands still or does not end
    /// what it does, is ended.
    pub(super) fn end(&mut self, code: u64) -> Result<(), Failure> {
        self.current = FIRST;
        let deadline = Instant::now() + PATIENCE;
        while let Some(guest) = self.guest() {
            drive::set_control_word(&guest, 0, control::STOP, 1)?;
            match drive::call(&guest, 0, Command::Exit { code }) {
                Ok(_) | Err(DriveError::Ended(_)) => return Ok(()),
                Err(DriveError::Mailbox { source: MailboxError::Busy { .. }, .. })
                    if Instant::now() < deadline =>
                {
                    thread::sleep(AGAIN_EVERY);
                }
                Err(error) => {
                    self.say(error.to_string());
                    break;
                }
            }
        }
        self.kill(FIRST);
        Ok(())
    }

    /// Ends the guests that were forked here.
    pub(super) fn end_forks(&self) {
        self.forks.iter().for_each(|&fork| self.kill(fork));
    }

    fn kill(&self, id: u32) {
        // One that is not there any more has ended long ago.
        let _ = self.session.execute(Request::Stop { id, kill: true });
    }
}

/// Most sectors of a transfer of a storm.
const MOST_SECTORS: u64 = 16;

/// How a storm went.
fn calm(end: &StormEnd) -> String {
    let StormEnd { transfers, read_back, findings, first } = end;
    let found = match first {
        None => "nothing is wrong".to_owned(),
        Some(first) => format!("findings: {findings:?}, the first: {first:?}"),
    };
    format!("the storm is over after {transfers} transfers; {read_back} sectors read back; {found}")
}

/// An answer in words.
fn answer(command: Command, values: &[u64; 4]) -> String {
    let [first, second, third, _] = *values;
    match command {
        Command::Ping => "is there".to_owned(),
        Command::Fill { pages, .. } => format!("wrote {pages} pages"),
        Command::Sum { .. } => format!("checksum {first:#018x}"),
        Command::Check { .. } if first == 0 => "all words are right".to_owned(),
        Command::Check { .. } => format!("{first} words differ, the first at {second:#x}"),
        Command::Write { .. } => "written".to_owned(),
        Command::DiskInit { device, .. } => format!("disk {device} has {first} sectors"),
        Command::DiskRead { .. } => format!("read: {}", outcome(first)),
        Command::DiskWrite { .. } => format!("written: {}", outcome(first)),
        Command::DiskZero { .. } => format!("zeroed: {}", outcome(first)),
        Command::DiskDiscard { .. } => format!("discarded: {}", outcome(first)),
        Command::DiskFlush { .. } => format!("flushed: {}", outcome(first)),
        Command::DiskBegin { .. } => format!("request {first} is in flight"),
        Command::DiskEnded { .. } if first == 0 => "none has ended".to_owned(),
        Command::DiskEnded { .. } => format!("request {second} has ended: {}", outcome(third)),
        _ => format!("{first:#x}"),
    }
}

/// How a disk request went (virtio 1.2, section 5.2.6).
fn outcome(status: u64) -> &'static str {
    match status {
        0 => "fine",
        1 => "an I/O error",
        2 => "the disk does not do that",
        _ => "with a status that means nothing",
    }
}
