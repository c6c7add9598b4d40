//! Unmodified Linux kernels: from files to memory and to the registers of vCPU 0.
//!
//! | file | protocol | what the kernel gets |
//! | --- | --- | --- |
//! | ELF vmlinux that names a PVH entry | PVH (32-bit) | `hvm_start_info` in `rbx` |
//! | ELF vmlinux | 64-bit | `boot_params` in `rsi` |
//! | bzImage | 64-bit | the same, with the file's own setup header |
//!
//! All checks of a file are made before a byte of it is written. RAM is expected to be zero, as
//! fresh memory is: a kernel's `.bss` is not written. Where everything lies is in [`layout`].

use std::fmt;

use linux_loader::loader::bootparam::setup_header;
use pincow_mmu::host::WindowMemory;

use crate::kvm::Vcpu;

mod acpi;
mod bzimage;
mod command_line;
mod elf;
mod entry;
mod error;
mod format;
mod initrd;
pub mod layout;
mod memory_map;
mod paging;
mod pvh;
mod seed;
#[cfg(test)]
pub(crate) mod tests;
mod zero_page;

pub use error::LinuxError;
pub use format::Format;

use layout::VirtioPlace;

/// How a kernel is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// Xen's protocol for hardware virtual machines: 32-bit, through the entry in the ELF notes.
    Pvh,
    /// Linux' 64-bit boot protocol.
    Linux64,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Pvh => "pvh",
            Protocol::Linux64 => "linux64",
        })
    }
}

/// A Linux system that was not booted yet.
#[derive(Debug, Clone, Default)]
pub struct Linux {
    /// The kernel: an ELF vmlinux or a bzImage.
    pub kernel: Vec<u8>,
    /// The initrd, if there is one.
    pub initrd: Option<Vec<u8>>,
    /// The command line: printable ASCII.
    pub command_line: String,
    /// How the kernel is entered; `None` takes what the file offers, PVH first.
    pub protocol: Option<Protocol>,
}

/// Where vCPU 0 starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// In which way.
    pub protocol: Protocol,
    /// Guest-physical address of the first instruction.
    pub address: u64,
}

/// Memory that a kernel can have: from 1 MiB to `end`.
#[derive(Debug, Clone, Copy)]
struct Room {
    end: u64,
}

/// What the kernel is told of the machine.
#[derive(Debug, Clone)]
pub struct Hardware {
    /// Bytes of RAM.
    pub ram_bytes: u64,
    /// How many vCPUs.
    pub vcpus: u32,
    /// Its virtio devices.
    pub virtio: Vec<VirtioPlace>,
}

/// Writes kernel, initrd, command line and tables to `memory`, which is zero.
///
/// # Errors
/// [`LinuxError`]; the memory is then partly written.
pub fn load(
    memory: &WindowMemory,
    hardware: &Hardware,
    linux: &Linux,
) -> Result<Entry, LinuxError> {
    let ram_bytes = hardware.ram_bytes;
    let kernel = load_kernel(memory, Room { end: ram_bytes }, linux)?;
    let most = kernel.header.map_or(command_line::USUAL_MOST, |h| h.cmdline_size as usize);
    let command_line_len = command_line::write(memory, &linux.command_line, most)?;
    let initrd_end = kernel.header.map_or(initrd::USUAL_END, |h| u64::from(h.initrd_addr_max) + 1);
    let place =
        |bytes: &Vec<u8>| initrd::write(memory, bytes, kernel.end, initrd_end.min(ram_bytes));
    let initrd = linux.initrd.as_ref().map(place).transpose()?;
    let rsdp = acpi::write(memory, hardware)?;
    entry::write_descriptors(memory, kernel.entry.protocol)?;
    match kernel.entry.protocol {
        Protocol::Pvh => pvh::StartInfo { ram_bytes, initrd, rsdp }.write(memory)?,
        Protocol::Linux64 => {
            paging::write(memory)?;
            let (header, setup_data) = (kernel.header, seed::write(memory)?);
            zero_page::ZeroPage { header, ram_bytes, initrd, command_line_len, rsdp, setup_data }
                .write(memory)?;
        }
    }
    Ok(kernel.entry)
}

/// Puts vCPU 0 at the kernel's entry, and all vCPUs in the state in which firmware leaves them.
///
/// # Errors
/// [`LinuxError::Entry`] with the call that failed.
pub fn enter(vcpus: &[Vcpu], at: Entry) -> Result<(), LinuxError> {
    for vcpu in vcpus {
        entry::set_firmware_msrs(vcpu)?;
    }
    vcpus.first().map_or(Ok(()), |vcpu| entry::set(vcpu, at)).map_err(LinuxError::Entry)
}

struct Kernel {
    entry: Entry,
    end: u64,
    header: Option<setup_header>,
}

fn load_kernel(memory: &WindowMemory, room: Room, linux: &Linux) -> Result<Kernel, LinuxError> {
    let (file, wanted) = (&linux.kernel, linux.protocol);
    match format::of(file)? {
        Format::Elf => {
            let elf::Loaded { entry, end } = elf::load(memory, room, file, wanted)?;
            Ok(Kernel { entry, end, header: None })
        }
        Format::BzImage => {
            let loaded = bzimage::load(memory, room, file, wanted)?;
            Ok(Kernel { entry: loaded.entry, end: loaded.end, header: Some(loaded.header) })
        }
    }
}
