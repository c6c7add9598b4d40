//! Why a command could not do its work.

use std::io;

use pincow_guest_agent::client::ClientError as AgentError;
use thiserror::Error;

use crate::bench::BenchError;
use crate::control::place::PlaceError;
use crate::control::{ClientError, ControlError};
use crate::demo::DemoError;
use crate::disk::DiskError;
use crate::drive::DriveError;
use crate::guest::GuestError;
use crate::kvm::HostError;
use crate::machine::{MachineError, PauseError};
use crate::stress::StressError;
use crate::virtio::net::TapError;
use crate::virtio::vsock::HostSocketError;

/// The exit status of a command that could not do its work.
pub(super) const STATUS: u8 = 2;

/// Why a command could not do its work. The message says what was wrong and what to do.
#[derive(Debug, Error)]
pub(super) enum Failure {
    /// No KVM.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A guest could not be made, forked or saved.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// A benchmark could not be run.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// The demo could not be shown.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// A disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A tap could not be had.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// A control socket could not be had or found.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A request to a running process was not answered, or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A request was refused.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A socket for programs of the host could not be had.
    #[error(transparent)]
    HostSocket(#[from] HostSocketError),
    /// The agent of a guest did not do what it was asked.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The stress test could not run.
    #[error(transparent)]
    Stress(#[from] StressError),
    /// A machine refused.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// A guest could not be paused.
    #[error(transparent)]
    Pause(#[from] PauseError),
    /// A guest did not do what it was asked.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// An unsafe rule set, without the flag.
    #[error(
        "the rule set `mapcount` loses and leaks guest data under DMA: it is here to show that the \
         tests would see it. Give --unsafe to run a guest under it all the same, or choose another \
         set (pincow rules table)"
    )]
    UnsafeRules,
    /// A file could not be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else, in words of its own.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// A file could not be read.
    pub(super) fn file(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::File { path, source }
    }
}
