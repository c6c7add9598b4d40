//! Why the stress test could not run.

use std::path::PathBuf;

use pincow_guest_protocol::devices::VIRTIO_DEVICES;
use pincow_mmu::SpaceError;
use thiserror::Error;
use vm_memory::GuestMemoryError;

use crate::disk::DiskError;
use crate::drive::DriveError;
use crate::guest::GuestError;
use crate::machine::MachineError;

/// The stress test could not run.
#[derive(Debug, Error)]
pub enum StressError {
    /// A guest was refused.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// A guest could not be driven.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// A machine could not be started.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The disk could not be made.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Guest memory refused.
    #[error("guest memory: {0}")]
    Space(#[from] SpaceError),
    /// Guest memory could not be read.
    #[error("guest memory at {address:#x}: {source}")]
    Memory {
        /// Guest physical address.
        address: u64,
        /// Why not.
        source: GuestMemoryError,
    },
    /// The disk's file could not be made.
    #[error("{path}: {source}: choose a folder on a disk (--dir)")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A guest's or a snapshot's disk could not be read.
    #[error("reading a disk of the stress test at byte {offset:#x} of its file: {source}")]
    Read {
        /// Where in the file.
        offset: u64,
        /// What the system said.
        source: std::io::Error,
    },
    /// The guest is too small.
    #[error(
        "{bytes:#x} bytes of guest memory are too few for {vcpus} storms of {depth} transfers: \
         give {needed} MiB or more (--memory), or fewer transfers (--depth)"
    )]
    TooSmall {
        /// What was given.
        bytes: u64,
        /// How many storms.
        vcpus: u32,
        /// How many transfers each.
        depth: u64,
        /// What is needed, in MiB.
        needed: u64,
    },
    /// Each vCPU wants a disk.
    #[error("{0} vCPUs want a disk each, and a guest has {VIRTIO_DEVICES} at most (--vcpus)")]
    TooManyVcpus(u32),
    /// A thread was not to be had.
    #[error("starting a thread: {0}: raise the limit of threads (ulimit -u)")]
    Thread(std::io::Error),
}
