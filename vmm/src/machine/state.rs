//! A machine as plain data: all vCPUs and devices, without the memory.

use pincow_guest_protocol::map::MAX_VCPUS;
use serde::{Deserialize, Serialize};

use super::{MachineError, ParkedAt, PcDevices};
use crate::devices::{MailboxState, SerialState};
use crate::kvm::{ChipsState, VcpuState};

/// One vCPU and its mailbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedVcpu {
    /// All its registers.
    pub state: VcpuState,
    /// Where it was when it was parked.
    pub parked_at: ParkedAt,
    /// Its mailbox.
    pub mailbox: MailboxState,
}

/// A whole machine at one instant, untrusted until [`Machine::restore`](super::Machine::restore)
/// has made it live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MachineState {
    /// Layout of this structure; [`MachineState::VERSION`] when written by this program.
    pub version: u32,
    /// Bytes of RAM that belong to it.
    pub ram_bytes: u64,
    /// The vCPUs, in order.
    pub vcpus: Vec<SavedVcpu>,
    /// The serial port.
    pub serial: SerialState,
    /// What only a PC has.
    pub pc: Option<PcState>,
}

/// Interrupt controllers, timer, clock and devices of a PC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PcState {
    /// What KVM keeps.
    pub chips: ChipsState,
    /// What this process keeps.
    pub devices: PcDevices,
}

impl MachineState {
    /// The layout that this program writes and reads.
    pub const VERSION: u32 = 2;

    /// Checks what can be checked before anything is made of it.
    pub(super) fn check(&self, ram_bytes: u64) -> Result<(), MachineError> {
        let refuse = |reason| Err(MachineError::State { reason });
        if self.version != MachineState::VERSION {
            let (found, known) = (self.version, MachineState::VERSION);
            return refuse(format!("it has version {found}, this pincow reads {known}"));
        }
        if self.ram_bytes != ram_bytes {
            let saved = self.ram_bytes;
            return refuse(format!("it has {saved:#x} bytes of RAM, {ram_bytes:#x} are given"));
        }
        match self.vcpus.len() {
            1..=MAX_VCPUS => {}
            n => return refuse(format!("it has {n} vCPUs, a guest can have 1 to {MAX_VCPUS}")),
        }
        let odd = |vcpu: &SavedVcpu| vcpu.state.lapic.is_some() != self.pc.is_some();
        match self.vcpus.iter().position(odd) {
            Some(n) if self.pc.is_some() => refuse(format!("vCPU {n} has no local APIC")),
            Some(n) => refuse(format!("vCPU {n} has a local APIC, the machine has none")),
            None => Ok(()),
        }
    }
}
