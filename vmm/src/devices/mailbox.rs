//! The mailbox of one vCPU: how the host gives a guest commands and gets its replies.
//!
//! Registers and their meaning are fixed in `guest/README.md` and
//! [`pincow_guest_protocol::devices`]. A vCPU that reads the command register while there is none
//! sleeps in that read, without using CPU time, until a command is posted or the vCPU is wanted for
//! something else; then it reads 0 and asks again.
//!
//! One command is in a mailbox at a time, and at most one reply and [`REPORTS_KEPT`] reports, so a
//! guest that floods it costs no memory: later replies nobody asked for are dropped, and so is the
//! oldest report, and both are counted.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use pincow_guest_protocol::Register;
use pincow_guest_protocol::command::NO_COMMAND;
use pincow_guest_protocol::devices::REST_MOST_US;
use serde::Serialize;
use thiserror::Error;

use super::bus::{Flow, MmioDevice};

mod state;
#[cfg(test)]
mod tests;

pub use state::{Command, MailboxState, Progress, Reply};

/// How many reports a mailbox keeps for a host that does not collect them.
pub const REPORTS_KEPT: usize = 64;

/// Why there is no reply or report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MailboxError {
    /// Nothing came in time. A command stays in progress.
    #[error("the guest did not answer within {0:?}: it may be busy, paused or stuck")]
    Timeout(Duration),
    /// The command before this one is not done yet.
    #[error("the guest is still busy with command {code}: wait for its reply first")]
    Busy {
        /// Code of that command.
        code: u64,
    },
    /// There is no command whose reply could be waited for.
    #[error("no command is in progress and no reply is left: post a command first")]
    Idle,
    /// A command has the code 0, which means "no command" to a guest.
    #[error("a command cannot have the code 0, which tells a guest that there is none")]
    NoCode,
    /// The guest has stopped and will not answer any more.
    #[error("the guest has stopped")]
    Stopped,
}

/// Counts of what a guest did that no well-behaved guest does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MailboxCounts {
    /// Replies that no command asked for.
    pub stray_replies: u64,
    /// Reports that were dropped because nobody collected them.
    pub lost_reports: u64,
    /// Accesses of a wrong size, offset or direction.
    pub malformed: u64,
}

#[derive(Debug, Default)]
struct Inner {
    state: MailboxState,
    reports: VecDeque<u64>,
    counts: MailboxCounts,
    interrupted: bool,
    closed: bool,
}

/// A mailbox on the bus. Host and guest side both work through shared references.
#[derive(Debug, Default)]
pub struct Mailbox {
    inner: Mutex<Inner>,
    to_guest: Condvar,
    to_host: Condvar,
}

impl Mailbox {
    /// An empty mailbox.
    pub fn new() -> Mailbox {
        Mailbox::default()
    }

    /// The mailbox that `state` describes: its command is posted or in progress here as it was
    /// there.
    pub fn restore(state: &MailboxState) -> Mailbox {
        let mut inner = Inner { state: state.clone(), ..Inner::default() };
        inner.state.settle();
        Mailbox { inner: Mutex::new(inner), ..Mailbox::default() }
    }

    /// What a copy of the guest needs to go on. Reports have left the guest and are not part of it.
    pub fn save(&self) -> MailboxState {
        self.inner.lock().state.clone()
    }

    /// Counts of misuse by the guest.
    pub fn counts(&self) -> MailboxCounts {
        self.inner.lock().counts
    }

    /// Posts a command and returns at once. A reply that nobody collected is dropped.
    ///
    /// # Errors
    ///
    /// [`MailboxError::Busy`], [`MailboxError::NoCode`], [`MailboxError::Stopped`].
    pub fn post(&self, command: impl Into<Command>) -> Result<(), MailboxError> {
        let command = command.into();
        let mut inner = self.inner.lock();
        if command.code == NO_COMMAND {
            return Err(MailboxError::NoCode);
        }
        if inner.closed {
            return Err(MailboxError::Stopped);
        }
        match inner.state.progress {
            Progress::Posted(Command { code, .. }) | Progress::Running { code } => {
                return Err(MailboxError::Busy { code });
            }
            Progress::Idle | Progress::Done(_) => inner.state.progress = Progress::Posted(command),
        }
        self.to_guest.notify_all();
        Ok(())
    }

    /// Waits for the reply of the command that was posted last, and takes it.
    ///
    /// # Errors
    ///
    /// [`MailboxError::Timeout`], [`MailboxError::Idle`], [`MailboxError::Stopped`].
    pub fn wait_reply(&self, timeout: Duration) -> Result<Reply, MailboxError> {
        self.wait(timeout, |inner| match inner.state.progress {
            Progress::Done(reply) => {
                inner.state.progress = Progress::Idle;
                Some(Ok(reply))
            }
            Progress::Idle => Some(Err(MailboxError::Idle)),
            Progress::Posted(_) | Progress::Running { .. } => None,
        })
    }

    /// [`Mailbox::post`], then [`Mailbox::wait_reply`].
    ///
    /// # Errors
    ///
    /// Those of the two.
    pub fn call(
        &self,
        command: impl Into<Command>,
        timeout: Duration,
    ) -> Result<Reply, MailboxError> {
        self.post(command)?;
        self.wait_reply(timeout)
    }

    /// Waits for the oldest report that was not taken yet, and takes it.
    ///
    /// # Errors
    ///
    /// [`MailboxError::Timeout`], [`MailboxError::Stopped`].
    pub fn wait_report(&self, timeout: Duration) -> Result<u64, MailboxError> {
        self.wait(timeout, |inner| inner.reports.pop_front().map(Ok))
    }

    /// Lets a vCPU that sleeps in the command register go on, and lets none sleep there until
    /// [`Mailbox::resume`].
    pub fn interrupt(&self) {
        self.inner.lock().interrupted = true;
        self.to_guest.notify_all();
    }

    /// Lets vCPUs sleep in the command register again.
    pub fn resume(&self) {
        self.inner.lock().interrupted = false;
    }

    /// The guest has stopped for good: nobody waits for it any more.
    pub fn close(&self) {
        self.inner.lock().closed = true;
        self.to_guest.notify_all();
        self.to_host.notify_all();
    }

    fn wait<T>(
        &self,
        timeout: Duration,
        mut take: impl FnMut(&mut Inner) -> Option<Result<T, MailboxError>>,
    ) -> Result<T, MailboxError> {
        let deadline = Instant::now().checked_add(timeout);
        let mut inner = self.inner.lock();
        loop {
            if let Some(taken) = take(&mut inner) {
                return taken;
            }
            if inner.closed {
                return Err(MailboxError::Stopped);
            }
            match deadline {
                Some(deadline) if Instant::now() >= deadline => {
                    return Err(MailboxError::Timeout(timeout));
                }
                Some(deadline) => {
                    self.to_host.wait_until(&mut inner, deadline);
                }
                None => self.to_host.wait(&mut inner),
            }
        }
    }

    /// The guest's side of [`Mailbox::post`]: blocks the vCPU until there is something to do.
    fn take_command(&self, mut inner: MutexGuard<'_, Inner>) -> (u64, Flow) {
        loop {
            if let Progress::Posted(command) = inner.state.progress {
                inner.state.begin(command);
                return (command.code, Flow::Continue);
            }
            if inner.interrupted || inner.closed {
                return (NO_COMMAND, Flow::Interrupted);
            }
            self.to_guest.wait(&mut inner);
        }
    }

    /// Lets the vCPU sleep, unless it is wanted elsewhere.
    fn rest(&self, mut inner: MutexGuard<'_, Inner>, microseconds: u64) -> Flow {
        let longest = Duration::from_micros(microseconds.min(REST_MOST_US));
        let deadline = Instant::now() + longest;
        while !inner.interrupted && !inner.closed && Instant::now() < deadline {
            self.to_guest.wait_until(&mut inner, deadline);
        }
        Flow::Continue
    }
}

impl MmioDevice for Mailbox {
    fn read(&self, offset: u64, data: &mut [u8]) -> Flow {
        let mut inner = self.inner.lock();
        let (value, flow) = match (Register::at(offset), data.len()) {
            (Some(Register::Command), 8) => self.take_command(inner),
            (Some(Register::Arg(n)), 8) => (inner.state.args[n], Flow::Continue),
            _ => {
                inner.counts.malformed += 1;
                return Flow::Continue;
            }
        };
        data.copy_from_slice(&value.to_le_bytes());
        flow
    }

    fn write(&self, offset: u64, data: &[u8]) -> Flow {
        let mut guard = self.inner.lock();
        let (Some(register), Ok(bytes)) = (Register::at(offset), <[u8; 8]>::try_from(data)) else {
            guard.counts.malformed += 1;
            return Flow::Continue;
        };
        let value = u64::from_le_bytes(bytes);
        let inner = &mut *guard;
        match register {
            Register::Reply(n) => inner.state.values[n] = value,
            Register::Done | Register::DoneValue => {
                let posted = match register {
                    Register::Done => inner.state.finish(value),
                    _ => inner.state.finish_with(value),
                };
                match posted {
                    true => drop(self.to_host.notify_all()),
                    false => inner.counts.stray_replies += 1,
                }
            }
            Register::Exit => return Flow::Exit(value),
            Register::Report => {
                if inner.reports.len() == REPORTS_KEPT {
                    inner.reports.pop_front();
                    inner.counts.lost_reports += 1;
                }
                inner.reports.push_back(value);
                self.to_host.notify_all();
            }
            Register::Rest => return self.rest(guard, value),
            Register::Command | Register::Arg(_) => inner.counts.malformed += 1,
        }
        Flow::Continue
    }
}
