//! What can go wrong with a machine.

use thiserror::Error;
use vm_memory::GuestMemoryError;
use vmm_sys_util::errno;

use super::{RamError, Stopped};
use crate::boot::BootError;
use crate::boot::linux::LinuxError;
use crate::boot::linux::layout::GENERATION_ID;
use crate::devices::BusError;
use crate::devices::serial::SerialRestoreError;
use crate::kvm::{HostError, KvmError, RestoreError};

/// Why a machine was not made or started.
#[derive(Debug, Error)]
pub enum MachineError {
    /// The payload or the size of the guest is wrong.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The kernel, its initrd or its command line is wrong.
    #[error(transparent)]
    Linux(#[from] LinuxError),
    /// This host's KVM does not run the code of kernels.
    #[error("this host's KVM cannot run an operating system: {stopped}")]
    Ring0 {
        /// How a guest of two instructions ended.
        stopped: Stopped,
    },
    /// There is no memory for a guest that asks whether it does.
    #[error(transparent)]
    Ram(#[from] RamError),
    /// This host's KVM lacks what a PC has.
    #[error(transparent)]
    Host(#[from] HostError),
    /// An interrupt line was not to be had.
    #[error("an interrupt line's event counter: {0}: raise the limit of open files (ulimit -n)")]
    Line(#[source] std::io::Error),
    /// There are no random bytes for the generation ID.
    #[error("the generation ID's random bytes: {0}")]
    Random(#[source] std::io::Error),
    /// The generation ID was not written.
    #[error("writing the generation ID to guest memory at {GENERATION_ID:#x}: {0}")]
    GenerationId(#[source] GuestMemoryError),
    /// The saved interrupt controllers were refused.
    #[error("restoring the interrupt controllers: {0}")]
    Chips(#[source] RestoreError),
    /// KVM refused.
    #[error("creating the virtual machine: {0}")]
    Kvm(#[from] KvmError),
    /// Two devices have the same addresses.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The saved machine has another layout, or is for other memory.
    #[error("the saved machine cannot be restored: {reason}")]
    State {
        /// What is wrong.
        reason: String,
    },
    /// A saved vCPU was refused.
    #[error("restoring vCPU {vcpu}: {source}")]
    Restore {
        /// Which vCPU.
        vcpu: u32,
        /// Which part of it.
        source: RestoreError,
    },
    /// The saved serial port was refused.
    #[error(transparent)]
    Serial(#[from] SerialRestoreError),
    /// The signal that interrupts vCPUs could not be set up.
    #[error("installing the handler of real-time signal {signal}: {errno}")]
    Signal {
        /// Its number.
        signal: i32,
        /// What the kernel answered.
        errno: errno::Error,
    },
    /// A vCPU got no thread.
    #[error("starting the thread of vCPU {vcpu}: {reason}: raise the limit of threads (ulimit -u)")]
    Thread {
        /// Which vCPU.
        vcpu: u32,
        /// What the host answered.
        reason: String,
    },
    /// The guest has ended already.
    #[error("the guest has ended: {reason}")]
    Stopped {
        /// Why.
        reason: Stopped,
    },
}

/// Why a machine was not paused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PauseError {
    /// The guest has ended already.
    #[error("the guest cannot be paused, it has ended: {reason}")]
    Stopped {
        /// Why.
        reason: Stopped,
    },
}
