//! Device registers. Each access is one plain `mov`, which every KVM can decode.
#![expect(unsafe_code, reason = "device registers are reached by address")]

use core::arch::asm;

use pincow_guest_protocol::devices::{
    Register, SERIAL_BASE, SERIAL_REGISTERS, VALUES, VIRTIO_DEVICES, VIRTIO_STRIDE, virtio,
};
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

/// Reads a register of virtio device `device`; all ones where there is none.
pub(crate) fn read_virtio(device: usize, offset: u64) -> u32 {
    let address = virtio_address(device, offset);
    let value: u32;
    // SAFETY: the address lies in the registers of a virtio device (checked there), which are no
    // RAM. The device may change RAM meanwhile (its rings and buffers), so `nomem` is not claimed.
    unsafe {
        asm!("mov {value:e}, [{address}]", value = out(reg) value, address = in(reg) address,
             options(nostack, preserves_flags));
    }
    value
}

/// Writes a register of virtio device `device`.
pub(crate) fn write_virtio(device: usize, offset: u64, value: u32) {
    let address = virtio_address(device, offset);
    // SAFETY: the address lies in the registers of a virtio device (checked there), which are no
    // RAM. The device may then read and write RAM that it was told of: rings and buffers in pages
    // that no Rust object lies in. `nomem` is not claimed, so all stores before it are done.
    unsafe {
        asm!("mov [{address}], {value:e}", value = in(reg) value, address = in(reg) address,
             options(nostack, preserves_flags));
    }
}

/// The address of a register; panics if there is none, before anything else can happen.
fn virtio_address(device: usize, offset: u64) -> u64 {
    assert!(device < VIRTIO_DEVICES, "no such virtio device");
    assert!(offset.is_multiple_of(4) && offset < VIRTIO_STRIDE, "no such virtio register");
    virtio(device) + offset
}

/// The address of a register; panics if there is none, before anything else can happen.
fn mailbox_address(vcpu: usize, register: Register) -> u64 {
    assert!(vcpu < MAX_VCPUS, "no such mailbox");
    if let Register::Arg(n) | Register::Reply(n) = register {
        assert!(n < VALUES, "no such mailbox register");
    }
    register.address(vcpu)
}
