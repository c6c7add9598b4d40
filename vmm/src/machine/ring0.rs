//! Whether this host's KVM runs the code of a kernel, or emulates it.
//!
//! A KVM without EPT or NPT underneath (nested, with shadow paging in software) may emulate all code
//! of ring 0, at a microsecond an instruction, and knows some instructions only. A kernel then gets
//! through a part of its start within minutes and ends at the first instruction that is missing. No
//! capability says so. A guest of two instructions tells it in a millisecond.

use vm_memory::{Bytes, GuestAddress};

use super::board::Board;
use super::step::{Step, step};
use super::{GuestRam, MachineError, Stopped, ram};
use crate::boot::BootError;
use crate::boot::linux::{self, Entry, Protocol};
use crate::devices::Serial;
use crate::devices::serial::nowhere;
use crate::kvm::{Host, Vcpus, Vm};

/// popcnt eax, ebx; hlt. Every kernel for x86-64 has the first, if the processor does; emulators
/// commonly do not.
const CODE: [u8; 5] = [0xf3, 0x0f, 0xb8, 0xc3, 0xf4];
const ENTRY: u64 = 0x1000;
const LEN_BYTES: usize = 2 << 20;

/// Runs the two instructions in ring 0 of a machine of its own.
///
/// # Errors
///
/// [`MachineError::Ring0`] when KVM did not get through them, and others when there was no machine.
pub fn check(host: &Host) -> Result<(), MachineError> {
    let ram = GuestRam::anonymous(LEN_BYTES)?;
    let written = ram.memory().write_slice(&CODE, GuestAddress(ENTRY));
    written.map_err(|source| BootError::Write { what: "probe", address: ENTRY, source })?;
    let vm = Vm::new(host)?;
    ram::map(&vm, &ram)?;
    let vcpu = [vm.create_vcpu(host, 0, Vcpus::ONE)?];
    linux::enter(&vcpu, Entry { protocol: Protocol::Pvh, address: ENTRY })?;
    let board = Board::payload(Serial::new(nowhere(), Box::new(())), Vec::new(), Vec::new())?;
    let mut fd = vcpu[0].lock();
    loop {
        // Signals and accesses to nothing are no answer yet.
        match step(&mut fd, &board, 0) {
            Step::Ended(Stopped::Halted { .. }) => return Ok(()),
            Step::Ended(stopped) => return Err(MachineError::Ring0 { stopped }),
            Step::Served | Step::Blocked | Step::Interrupted(_) => {}
        }
    }
}
