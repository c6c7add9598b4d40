//! Why a script on real guests came to an end.

use std::io;
use std::path::PathBuf;

use pincow_guest_protocol::Status;
use pincow_mmu::SpaceError;
use pincow_mmu::scenario::{Refusal, Stop};
use thiserror::Error;

use super::{PAGE, QUEUE_SIZE};
use crate::disk::DiskError;
use crate::drive::{DriveError, PATIENCE};
use crate::guest::GuestError;
use crate::io::UringError;
use crate::machine::MachineError;

/// Why a script on real guests came to an end.
#[derive(Debug, Error)]
pub enum LabError {
    /// A guest was refused.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// A machine could not be started.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// A guest did not do what it was asked.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// Guest memory refused.
    #[error("guest memory: {0}")]
    Space(#[from] SpaceError),
    /// A disk could not be made.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// There is no io_uring.
    #[error("devices of scripts need io_uring: {0}")]
    Uring(#[from] UringError),
    /// A disk's file could not be made.
    #[error("{path}: {source}: choose a folder on a disk (--dir)")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The script has more pins of one guest than its disk can have requests in flight.
    #[error(
        "a pin is a virtio-blk request in flight, and the guest's virtqueue has room for \
         {QUEUE_SIZE}"
    )]
    QueueFull,
    /// The device answered a request with an error instead of beginning it.
    #[error("the device refused a request of sector {sector:#x}")]
    Refused {
        /// Which sector.
        sector: u64,
    },
    /// The device did not begin a request.
    #[error("the device did not begin a request of sector {sector:#x} in {PATIENCE:?}")]
    NotBegun {
        /// Which sector.
        sector: u64,
    },
    /// The device did not end a request.
    #[error("the guest's driver did not see the end of {left} requests in {PATIENCE:?}")]
    NotEnded {
        /// How many.
        left: u64,
    },
    /// The driver was told something else than the device said.
    #[error(
        "the guest's driver saw request {ticket} end with status {status}, and the device ended \
         request {expected} with status {expected_status}"
    )]
    Ended {
        /// The request that the driver saw.
        ticket: u64,
        /// Its virtio status.
        status: u64,
        /// The request that the device ended.
        expected: u64,
        /// Its virtio status.
        expected_status: u64,
    },
    /// A pin whose request is not with the device any more.
    #[error("transfer {0} is not with its device")]
    NotThere(u64),
    /// A request's memory is not what it asked for.
    #[error("the device pinned something else than was asked for, in {regions} regions")]
    Shape {
        /// In how many parts it lies.
        regions: usize,
    },
    /// A transfer failed.
    #[error("a transfer between the disk and the pinned frame: {0}")]
    Transfer(#[source] io::Error),
    /// A transfer was short.
    #[error("a transfer moved {moved} of {wanted} bytes between the disk and the pinned frame")]
    Short {
        /// How many bytes it moved.
        moved: usize,
        /// How many it should have.
        wanted: usize,
    },
    /// The disk's file could not be read or written.
    #[error("the file of a script's disk: {0}")]
    Medium(#[source] io::Error),
}

impl LabError {
    /// Whether the script asks for something that virtio-blk has no way to say, on any host.
    #[must_use]
    pub fn is_inexpressible(&self) -> bool {
        matches!(self, Self::QueueFull)
    }

    /// Whether the script asks for something that the backing leaves to the host.
    #[must_use]
    pub fn is_left_to_host(&self) -> bool {
        matches!(self, Self::Space(SpaceError::LeftToHost { .. }))
    }

    /// Of a request that the driver could not submit.
    pub(super) fn submitting(error: DriveError) -> Self {
        match error {
            DriveError::Refused { status, .. } if status == Status::Full as u64 => Self::QueueFull,
            error => Self::Drive(error),
        }
    }

    /// What the rules say against the script's page, if that is all.
    fn refusal(&self) -> Option<Refusal> {
        let (Self::Space(error) | Self::Guest(GuestError::Space(error))) = self else {
            return None;
        };
        match error {
            SpaceError::Busy { gfn, .. } if *gfn == PAGE => Some(Refusal::Busy),
            SpaceError::Wait { gfn } if *gfn == PAGE => Some(Refusal::Wait),
            _ => None,
        }
    }
}

impl From<LabError> for Stop<LabError> {
    fn from(error: LabError) -> Self {
        error.refusal().map_or_else(|| Self::Failed(error), Self::Refused)
    }
}
