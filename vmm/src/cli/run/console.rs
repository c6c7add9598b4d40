//! The console of the embedded guest: a line of words, an answer.

use pincow_guest_protocol::Command;

use super::words::{self, HELP, Wish};
use super::{Failure, serial};
use crate::drive::{self, DriveError};
use crate::guest::Guest;

/// What comes after a line.
pub(super) enum Next {
    /// Another line.
    Line,
    /// The end of the guest, with this code.
    End(u64),
}

/// The guests that can be talked to: the first one and its descendants.
pub(super) struct Console<'a> {
    first: &'a Guest,
    forks: Vec<Guest>,
    current: usize,
    json: bool,
}

impl<'a> Console<'a> {
    pub(super) fn new(first: &'a Guest, json: bool) -> Self {
        Self { first, forks: Vec::new(), current: 0, json }
    }

    fn guest(&self) -> &Guest {
        match self.current.checked_sub(1) {
            None => self.first,
            Some(fork) => &self.forks[fork],
        }
    }

    /// Talk goes to stderr, as stdout is the guest's serial line.
    fn say(&self, what: impl AsRef<str>) {
        eprintln!("{}", what.as_ref());
    }

    /// Waits until the guest is there.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        drive::wait_ready(self.first)?;
        self.say("pincow: the guest is ready; type help, or Ctrl-C to end");
        Ok(())
    }

    /// Does what a line says. Mistakes in it, and forks that are refused, are said and forgiven.
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
            Wish::Switch(number) if number <= self.forks.len() => {
                self.current = number;
                self.say(format!("guest {number}"));
            }
            Wish::Switch(number) => self.say(format!("there is no guest {number}")),
            Wish::Ask(command) => self.ask(command)?,
            Wish::End(code) => return Ok(Next::End(code)),
        }
        Ok(Next::Line)
    }

    fn ask(&mut self, command: Command) -> Result<(), Failure> {
        match drive::call(self.guest(), 0, command) {
            Ok(values) => {
                self.say(format!("guest {}: {}", self.current, answer(command, &values)));
            }
            // The first guest's end ends the command, which says why.
            Err(DriveError::Ended(_)) if self.current == 0 => {}
            Err(DriveError::Ended(reason)) => {
                self.say(format!("guest {}: {reason}", self.current));
            }
            Err(error @ DriveError::Refused { .. }) => self.say(error.to_string()),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn fork(&mut self) {
        let forked = self.guest().fork(serial(self.json)).and_then(|(child, cut)| {
            child.machine().start()?;
            Ok((child, cut))
        });
        match forked {
            Ok((child, cut)) => {
                self.forks.push(child);
                let (parent, child, pause) = (self.current, self.forks.len(), cut.pause);
                let transfers = match cut.transfers_in_flight {
                    0 => String::new(),
                    count => format!(", with {count} disk transfers in flight"),
                };
                self.say(format!(
                    "guest {child} is a fork of guest {parent}, paused {pause:.0?}{transfers}"
                ));
            }
            Err(error) => self.say(error.to_string()),
        }
    }

    fn list(&self) {
        let guests = std::iter::once(self.first).chain(&self.forks);
        for (number, guest) in guests.enumerate() {
            let census = guest.space().census();
            let state = match guest.machine().ended() {
                Some(reason) => reason.to_string(),
                None => "runs".to_owned(),
            };
            self.say(format!(
                "guest {number}: {state}; {} frames shared, {} its own",
                census.shared, census.private
            ));
        }
    }

    /// Lets the first guest end by itself, with `code`.
    pub(super) fn end(&mut self, code: u64) -> Result<(), Failure> {
        self.current = 0;
        self.ask(Command::Exit { code })
    }
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
