//! Why a guest was not made, forked or saved.

use pincow_guest_protocol::devices::VIRTIO_DEVICES;
use pincow_mmu::SpaceError;
use pincow_mmu::host::MemoryError;
use pincow_mmu::rules::RuleSet;
use thiserror::Error;

use super::{GuestDiskError, PeripheralError};
use crate::kvm::KvmError;
use crate::machine::{MachineError, PauseError};

/// Why a guest was not made, forked or saved.
#[derive(Debug, Error)]
pub enum GuestError {
    /// The guest would be larger than the host.
    #[error(
        "the guest wants {wanted} MiB of memory and this host has {present} MiB: give it less \
         (--memory)"
    )]
    TooLarge {
        /// What was asked for, in MiB.
        wanted: u64,
        /// What there is, in MiB.
        present: u64,
    },
    /// A size that no guest can have.
    #[error("{bytes:#x} bytes of guest memory: choose a multiple of 2 MiB, at least 8 MiB")]
    Size {
        /// What was asked for.
        bytes: u64,
    },
    /// This host cannot run the backing.
    #[error(transparent)]
    Backing(#[from] MemoryError),
    /// Rules that the backing cannot carry out.
    #[error(
        "rules {set} decide about each write to a shared page, which the backing `hostcow` leaves to the \
         host: use `--backing trap`, or other rules"
    )]
    Rules {
        /// The rules.
        set: RuleSet,
    },
    /// Where pincow copies pages itself, there is nothing to prefault.
    #[error(
        "--prefault learned has the host copy pages beforehand, and under the backing `trap` it copies none: use \
         `--backing hostcow`"
    )]
    PrefaultUnderTrap,
    /// The memory refused.
    #[error("guest memory: {0}")]
    Space(#[from] SpaceError),
    /// More devices than there is room for.
    #[error(
        "{wanted} disks, network cards and other virtio devices: a guest has room for {VIRTIO_DEVICES}"
    )]
    Devices {
        /// How many were asked for.
        wanted: usize,
    },
    /// A device without requests in flight refused.
    #[error(transparent)]
    Peripheral(#[from] PeripheralError),
    /// A disk refused.
    #[error(transparent)]
    Disk(#[from] GuestDiskError),
    /// The machine refused.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The guest could not be paused.
    #[error(transparent)]
    Pause(#[from] PauseError),
    /// A vCPU's state could not be read.
    #[error("saving the guest's state: {0}")]
    Save(#[from] KvmError),
}
