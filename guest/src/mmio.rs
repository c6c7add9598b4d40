//! Device registers. Each access is one plain `mov`, which every KVM can decode.
#![expect(unsafe_code, reason = "device registers are reached by address")]

use core::arch::asm;

use pincow_guest_protocol::devices::{Register, SERIAL_BASE, SERIAL_REGISTERS, VALUES};
use pincow_guest_protocol::map::MAX_VCPUS;

/// Reads a register of the mailbox of vCPU `vcpu`. It may block, for as long as the monitor likes.
pub(crate) fn read_mailbox(vcpu: usize, register: Register) -> u64 {
    let address = mailbox_address(vcpu, register);
    let value;
    // SAFETY: the address is that of a mailbox register (checked there), which is no RAM, so
    // reading it has no effect on anything that Rust knows of. The monitor may change RAM (the
    // control page, by contract) before it answers, so `nomem` is not claimed.
    unsafe {
        asm!("mov {value}, [{address}]", value = out(reg) value, address = in(reg) address,
             options(nostack, preserves_flags));
    }
    value
}

/// Writes a register of the mailbox of vCPU `vcpu`.
pub(crate) fn write_mailbox(vcpu: usize, register: Register, value: u64) {
    let address = mailbox_address(vcpu, register);
    // SAFETY: the address is that of a mailbox register (checked there), which is no RAM. The
    // monitor reads RAM afterwards, so `nomem` is not claimed, and all stores before it are done.
    unsafe {
        asm!("mov [{address}], {value}", value = in(reg) value, address = in(reg) address,
             options(nostack, preserves_flags));
    }
}

/// Writes a register of the 16550.
pub(crate) fn write_serial(register: u64, value: u8) {
    assert!(register < SERIAL_REGISTERS, "no such serial register");
    let address = SERIAL_BASE + register;
    // SAFETY: the address is that of a register of the 16550 (checked above), which is no RAM.
    unsafe {
        asm!("mov [{address}], {value}", value = in(reg_byte) value, address = in(reg) address,
             options(nostack, preserves_flags));
    }
}

/// The address of a register; panics if there is none, before anything else can happen.
fn mailbox_address(vcpu: usize, register: Register) -> u64 {
    assert!(vcpu < MAX_VCPUS, "no such mailbox");
    if let Register::Arg(n) | Register::Reply(n) = register {
        assert!(n < VALUES, "no such mailbox register");
    }
    register.address(vcpu)
}
