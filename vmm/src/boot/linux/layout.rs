//! Where everything lies in the memory of a Linux guest, guest-physical.
//!
//! ```text
//! 0x0000_1000  descriptor table, PVH start information, zero page, page tables, seed
//! 0x0002_0000  command line
//! 0x0009_fc00  end of low RAM: a PC has its extended BIOS data here
//! 0x000e_0000  ACPI tables, in what a PC has as BIOS
//! 0x000f_f000  the generation ID, in a page of its own
//! 0x0010_0000  RAM: the kernel where it wants to be, the initrd at the end
//! 0xd000_0000  end of the room for RAM: device registers (guest/README.md)
//! 0xfec0_0000  IOAPIC, 0xfee0_0000 local APICs, 0xfffb_c000 pages that KVM needs on Intel
//! ```
//!
//! Everything below 1 MiB that is not ACPI is needed until the kernel has copied it and is RAM like
//! all other. The kernel uses its own descriptors and page tables from its first function on.

use pincow_guest_protocol::devices::{VIRTIO_DEVICES, VIRTIO_STRIDE, virtio};

/// The descriptor table that the kernel is entered with.
pub const GDT: u64 = 0x1000;

/// `hvm_start_info` of the PVH protocol, its module list and its memory map, in this order.
pub const START_INFO: u64 = 0x2000;

/// The module list of the PVH protocol.
pub const MODULES: u64 = START_INFO + 0x80;

/// The memory map of the PVH protocol.
pub const MEMORY_MAP: u64 = START_INFO + 0x100;

/// `boot_params` of the 64-bit protocol.
pub const ZERO_PAGE: u64 = 0x3000;

/// Identity page tables for the first 4 GiB: PML4, pointers, four directories.
pub const PAGE_TABLES: u64 = 0x4000;

/// The random seed (SETUP_RNG_SEED).
pub const SEED: u64 = 0xb000;

/// The command line, with its final 0.
pub const COMMAND_LINE: u64 = 0x2_0000;

/// Room for the command line in bytes, its final 0 included.
pub const COMMAND_LINE_ROOM: u64 = 0x1_0000;

/// End of RAM below 640 KiB.
pub const LOW_RAM_END: u64 = 0x9_fc00;

/// The ACPI tables, the root pointer first.
pub const ACPI: u64 = 0xe_0000;

/// The generation ID, and end of the room for ACPI tables. Its page is not RAM for the kernel, so that
/// nothing else is ever in it, and a copy that gets a new one copies no more than that.
pub const GENERATION_ID: u64 = 0xf_f000;

/// Where RAM goes on.
pub const HIGH_RAM: u64 = 0x10_0000;

/// Registers of the IOAPIC, where KVM has it.
pub const IOAPIC: u32 = 0xfec0_0000;

/// Registers of the local APICs, where KVM has them.
pub const LOCAL_APIC: u32 = 0xfee0_0000;

/// The page of the identity map that KVM needs on Intel hosts without unrestricted guests.
pub const KVM_IDENTITY_MAP: u64 = 0xfffb_c000;

/// The three pages of the task state segment that KVM needs on the same hosts.
pub const KVM_TSS: u64 = 0xfffb_d000;

/// The interrupt of the serial port COM1.
pub const SERIAL_IRQ: u32 = 4;

/// The interrupt that tells of a new generation ID: the one that a PC keeps for a second
/// printer.
pub const GENERATION_IRQ: u32 = 5;

/// The interrupt of ACPI events (SCI).
pub const ACPI_IRQ: u32 = 9;

/// The first interrupt that is not one of the 16 of a PC. Virtio devices have these in order; an
/// IOAPIC has 24 inputs.
pub const FIRST_VIRTIO_IRQ: u32 = 16;

const _: () = assert!(FIRST_VIRTIO_IRQ as usize + VIRTIO_DEVICES <= 24);

/// The registers and the interrupt of a virtio device, as the ACPI tables tell them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VirtioPlace {
    /// First guest-physical address of its registers.
    pub start: u64,
    /// Length of its registers in bytes.
    pub len_bytes: u64,
    /// Its interrupt: edge-triggered, active high.
    pub irq: u32,
}

/// The place of virtio device number `index`.
#[must_use]
pub fn virtio_place(index: usize) -> VirtioPlace {
    let irq = FIRST_VIRTIO_IRQ + index as u32;
    VirtioPlace { start: virtio(index), len_bytes: VIRTIO_STRIDE, irq }
}
