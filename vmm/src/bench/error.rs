//! Why a benchmark could not be run.

use std::io;
use std::path::PathBuf;

use pincow_mmu::SpaceError;
use pincow_mmu::host::MemoryError;
use thiserror::Error;
use vm_memory::GuestMemoryError;

use crate::boot::BootError;
use crate::devices::MailboxError;
use crate::disk::DiskError;
use crate::drive::DriveError;
use crate::guest::GuestError;
use crate::kvm::KvmError;
use crate::machine::{MachineError, RamError};

/// Why a benchmark could not be run.
#[derive(Debug, Error)]
pub enum BenchError {
    /// A guest was refused.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// A guest did not do what it was asked.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// A machine could not be started.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The memory refused.
    #[error("guest memory: {0}")]
    Space(#[from] SpaceError),
    /// There is no memory that can be forked.
    #[error(transparent)]
    Backing(#[from] MemoryError),
    /// Guest memory could not be read.
    #[error("reading guest memory: {0}")]
    Memory(#[from] GuestMemoryError),
    /// The floor could not be made.
    #[error("the floor: {0}")]
    Kvm(#[from] KvmError),
    /// The payload could not be loaded for the floor.
    #[error("the floor: {0}")]
    Boot(#[from] BootError),
    /// There is no memory to load it to.
    #[error("the floor: {0}")]
    Ram(#[from] RamError),
    /// A system call of the floor failed.
    #[error("the floor: {operation}: {source}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The guest on the floor did not answer.
    #[error("the floor's guest did not answer: {0}")]
    FloorMailbox(#[from] MailboxError),
    /// The guest on the floor ended, or did what it should not.
    #[error("the floor's guest left its code: {0}")]
    FloorEnded(String),
    /// The disk could not be made.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The disk's file could not be made.
    #[error("{path}: {source}: choose a folder on a disk with room (--dir)")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk's file has no room for what is measured.
    #[error("a file of {bytes:#x} bytes is too small: give it {least:#x} or more (--size)")]
    SmallFile {
        /// What it has.
        bytes: u64,
        /// What it needs.
        least: u64,
    },
    /// The guest does not begin transfers.
    #[error("the guest does not bring its disk transfers in flight")]
    NoTransfers,
    /// The guest does not come to rest.
    #[error("the guest does not come back to waiting for commands")]
    NotIdle,
    /// The guest has no room for what is measured.
    #[error(
        "{memory_bytes:#x} bytes of guest memory have no room for {wanted} pages of table: give it \
         {least:#x} or more (--memory)"
    )]
    TooSmall {
        /// What it has.
        memory_bytes: u64,
        /// What is to be written.
        wanted: u64,
        /// What it needs.
        least: u64,
    },
    /// So many guests at once are too many for a limit of this process or host.
    #[error(
        "{guests} guests at once need {needed} {what}, and this process may have {free} more: {fits} would \
         fit (--clones); {advice}"
    )]
    NoRoom {
        /// How many were wanted.
        guests: usize,
        /// Of what there is not enough.
        what: &'static str,
        /// What all of them would take.
        needed: u64,
        /// What there is.
        free: u64,
        /// How many there is room for.
        fits: u64,
        /// What to do.
        advice: &'static str,
    },
    /// There was no room for another guest, although a look at the limits had said so.
    #[error(
        "with {alive} of {wanted} guests alive there is no room for another one (--clones): {source}"
    )]
    Full {
        /// How many were alive.
        alive: usize,
        /// How many were wanted.
        wanted: usize,
        /// What went wrong.
        source: Box<Self>,
    },
    /// The kernel's own accounting could not be read.
    #[error("reading the kernel's accounting of memory: {0}")]
    Accounting(#[source] io::Error),
    /// Something else was measured than was meant.
    #[error("{expected} write faults should have been answered by `{what}`, and {found} were")]
    OtherFaults {
        /// How they should have been answered.
        what: &'static str,
        /// How many faults there should have been.
        expected: u64,
        /// How many there were.
        found: u64,
    },
}

impl BenchError {
    /// An adapter for `map_err` that remembers what was tried.
    pub(super) fn system(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { operation, source }
    }

    /// What the host said when it had no room for so many mappings: the guests were fine, and the
    /// benchmark cannot be taken here.
    #[must_use]
    pub fn refusal(&self) -> Option<&SpaceError> {
        match self {
            Self::Space(error @ SpaceError::NoMappings { .. })
            | Self::Guest(GuestError::Space(error @ SpaceError::NoMappings { .. })) => Some(error),
            _ => None,
        }
    }
}
