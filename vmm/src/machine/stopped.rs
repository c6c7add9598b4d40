//! Why a guest has ended.

use serde::{Deserialize, Serialize};
use thiserror::Error;

mod internal;
#[cfg(test)]
mod tests;

/// The reason of the first vCPU that could not go on; the others were then stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Stopped {
    /// The guest ended by itself.
    #[error("vCPU {vcpu} ended the guest with code {code}")]
    Exit {
        /// Which vCPU.
        vcpu: u32,
        /// Its exit code.
        code: u64,
    },
    /// The guest switched itself off.
    #[error("the guest has switched itself off")]
    PowerOff {
        /// Which vCPU did.
        vcpu: u32,
    },
    /// The guest asked for a reset.
    #[error("the guest has asked for a reboot (vCPU {vcpu}): start it again to do that")]
    Reset {
        /// Which vCPU did.
        vcpu: u32,
    },
    /// The guest's kernel said that it panicked.
    #[error("the guest's kernel has panicked (vCPU {vcpu}): its serial line says why")]
    Panicked {
        /// Which vCPU did.
        vcpu: u32,
    },
    /// A vCPU waits for an interrupt, and nothing can interrupt it.
    #[error("vCPU {vcpu} halted, and there is nothing that could wake it")]
    Halted {
        /// Which vCPU.
        vcpu: u32,
    },
    /// A crash: an exception that the guest has no handler for.
    #[error("vCPU {vcpu} crashed (triple fault){}", at(.rip, .fault_address))]
    Shutdown {
        /// Which vCPU.
        vcpu: u32,
        /// Address of the instruction, unless KVM has reset the vCPU already.
        rip: Option<u64>,
        /// CR2: the address of the last page fault, if there ever was one.
        fault_address: Option<u64>,
    },
    /// KVM cannot go on, most often at an instruction that it cannot emulate.
    #[error("KVM cannot run vCPU {vcpu} any further: {}", internal::meaning(.suberror, .rip, .ring, .instruction, .data))]
    InternalError {
        /// Which vCPU.
        vcpu: u32,
        /// KVM's number; 1 is "cannot emulate".
        suberror: u32,
        /// Address of the instruction.
        rip: Option<u64>,
        /// The privilege level at which it runs: 0 is a kernel's.
        ring: Option<u8>,
        /// Its bytes, if KVM gives them.
        instruction: Vec<u8>,
        /// What else KVM gives.
        data: Vec<u64>,
    },
    /// The processor refused to enter the guest.
    #[error("the processor refused to enter vCPU {vcpu}: hardware reason {hardware_reason:#x}")]
    EntryRefused {
        /// Which vCPU.
        vcpu: u32,
        /// The processor's reason.
        hardware_reason: u64,
    },
    /// The guest reached memory that the host could not give it.
    #[error(
        "vCPU {vcpu} reached memory that the host did not give ({errno}){}{}",
        at_gpa(.gpa), at(.rip, .fault_address)
    )]
    MemoryFault {
        /// Which vCPU.
        vcpu: u32,
        /// The error of KVM_RUN, in words.
        errno: String,
        /// Guest-physical address, where KVM tells it.
        gpa: Option<u64>,
        /// Address of the instruction.
        rip: Option<u64>,
        /// CR2, if it is set.
        fault_address: Option<u64>,
    },
    /// `KVM_RUN` failed in another way.
    #[error("KVM_RUN failed for vCPU {vcpu}: {errno}")]
    RunFailed {
        /// Which vCPU.
        vcpu: u32,
        /// The error, in words.
        errno: String,
    },
    /// An exit that a guest without further devices should not cause.
    #[error("vCPU {vcpu} left the guest for a reason that pincow does not serve: {exit}")]
    Unserved {
        /// Which vCPU.
        vcpu: u32,
        /// The exit, as kvm-ioctls names it.
        exit: String,
    },
    /// The host ended it.
    #[error("stopped by the host")]
    Killed,
}

fn at(rip: &Option<u64>, fault_address: &Option<u64>) -> String {
    let rip = rip.map(|rip| format!(" at {rip:#x}"));
    let fault = fault_address.map(|address| format!(", last page fault at {address:#x}"));
    rip.unwrap_or_default() + &fault.unwrap_or_default()
}

fn at_gpa(gpa: &Option<u64>) -> String {
    gpa.map(|gpa| format!(" at guest-physical {gpa:#x}")).unwrap_or_default()
}
