//! Driving the embedded payload: commands, control pages, and the churn and the storm that verify themselves.

use std::time::{Duration, Instant};

use pincow_guest_protocol::map::{PAGE_BYTES, control_page};
use pincow_guest_protocol::{Command, Status, control};
use thiserror::Error;
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

use crate::devices::{Mailbox, MailboxError};
use crate::guest::Guest;
use crate::machine::Stopped;

mod churn;
mod storm;

pub use churn::{Churn, Mismatch};
pub use storm::{Storm, StormEnd};

/// How long a guest may take for anything. Long enough for a slow nested host.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How often a running guest's memory is looked at while it is waited for.
const LOOK_EVERY: Duration = Duration::from_micros(100);

/// The guest did not do what it was asked.
#[derive(Debug, Error)]
pub enum DriveError {
    /// It did not answer.
    #[error("vCPU {vcpu} did not answer: {source}")]
    Mailbox {
        /// Which vCPU.
        vcpu: u32,
        /// Why not.
        source: MailboxError,
    },
    /// It answered that it cannot.
    #[error("vCPU {vcpu} refused {command:?} with status {status}")]
    Refused {
        /// Which vCPU.
        vcpu: u32,
        /// What it was asked.
        command: Command,
        /// What it answered.
        status: u64,
    },
    /// It ended.
    #[error("the guest ended: {0}")]
    Ended(Stopped),
    /// It has no such vCPU.
    #[error("the guest has no vCPU {0}")]
    NoVcpu(u32),
    /// Its memory could not be reached.
    #[error("guest memory at {address:#x}: {source}")]
    Memory {
        /// Guest physical address.
        address: u64,
        /// Why not.
        source: GuestMemoryError,
    },
    /// Its storm makes no progress.
    #[error("the storm did not get past {at} transfers in {PATIENCE:?}")]
    StormStuck {
        /// How many have ended.
        at: u64,
    },
    /// It makes no progress.
    #[error("the churn of vCPU {vcpu} did not get past page {at} in {PATIENCE:?}")]
    Stuck {
        /// Which vCPU.
        vcpu: u32,
        /// How many pages it had written.
        at: u64,
    },
}

fn mailbox(guest: &Guest, vcpu: u32) -> Result<&Mailbox, DriveError> {
    guest.machine().mailbox(vcpu).map(AsRef::as_ref).ok_or(DriveError::NoVcpu(vcpu))
}

fn ended(guest: &Guest, vcpu: u32, source: MailboxError) -> DriveError {
    match (source, guest.machine().ended()) {
        (MailboxError::Stopped, Some(reason)) => DriveError::Ended(reason),
        _ => DriveError::Mailbox { vcpu, source },
    }
}

/// Asks a vCPU for something, and does not wait for the answer.
///
/// # Errors
/// When the vCPU is busy or gone.
pub fn post(guest: &Guest, vcpu: u32, command: Command) -> Result<(), DriveError> {
    mailbox(guest, vcpu)?.post(command).map_err(|source| ended(guest, vcpu, source))
}

/// Waits for the answer to a command that was posted.
///
/// # Errors
/// When the guest ends, refuses, or takes longer than [`PATIENCE`].
pub fn reply(guest: &Guest, vcpu: u32, command: Command) -> Result<[u64; 4], DriveError> {
    let reply = mailbox(guest, vcpu)?.wait_reply(PATIENCE);
    let reply = reply.map_err(|source| ended(guest, vcpu, source))?;
    match reply.status() {
        Some(Status::Ok) => Ok(reply.values),
        _ => Err(DriveError::Refused { vcpu, command, status: reply.status }),
    }
}

/// Asks a vCPU for something, and waits for the answer.
///
/// # Errors
/// Those of [`post`] and [`reply`].
pub fn call(guest: &Guest, vcpu: u32, command: Command) -> Result<[u64; 4], DriveError> {
    post(guest, vcpu, command)?;
    reply(guest, vcpu, command)
}

/// Waits until every vCPU of a guest that was just booted has said that it is ready.
///
/// # Errors
/// When the guest ends, or takes longer than [`PATIENCE`].
pub fn wait_ready(guest: &Guest) -> Result<(), DriveError> {
    for vcpu in 0..guest.machine().vcpus() {
        let report = mailbox(guest, vcpu)?.wait_report(PATIENCE);
        report.map_err(|source| ended(guest, vcpu, source))?;
    }
    Ok(())
}

/// Reads a word of a vCPU's control page, without an exit.
///
/// # Errors
/// When guest memory cannot be reached.
pub fn control_word(guest: &Guest, vcpu: u32, word: usize) -> Result<u64, DriveError> {
    let address = control_page(vcpu as usize) + control::offset(word);
    let memory = guest.machine().ram().memory();
    memory.read_obj(GuestAddress(address)).map_err(|source| DriveError::Memory { address, source })
}

/// Writes a word of a vCPU's control page, which the guest reads without an exit.
///
/// # Errors
/// When guest memory cannot be reached.
pub fn set_control_word(
    guest: &Guest,
    vcpu: u32,
    word: usize,
    value: u64,
) -> Result<(), DriveError> {
    let address = control_page(vcpu as usize) + control::offset(word);
    let memory = guest.machine().ram().memory();
    memory
        .write_obj(value, GuestAddress(address))
        .map_err(|source| DriveError::Memory { address, source })
}

/// The bytes of a page of guest memory, as the guest sees them.
///
/// # Errors
/// When guest memory cannot be reached.
pub fn page_bytes(guest: &Guest, page: u64) -> Result<[u8; PAGE_BYTES], DriveError> {
    let mut bytes = [0; PAGE_BYTES];
    let address = page * PAGE_BYTES as u64;
    let memory = guest.machine().ram().memory();
    memory
        .read_slice(&mut bytes, GuestAddress(address))
        .map_err(|source| DriveError::Memory { address, source })?;
    Ok(bytes)
}

/// Looks again and again until `done` says so.
fn wait_until(
    guest: &Guest,
    mut done: impl FnMut() -> Result<bool, DriveError>,
    stuck: impl FnOnce() -> DriveError,
) -> Result<(), DriveError> {
    let deadline = Instant::now() + PATIENCE;
    while !done()? {
        if let Some(reason) = guest.machine().ended() {
            return Err(DriveError::Ended(reason));
        }
        if Instant::now() > deadline {
            return Err(stuck());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}
