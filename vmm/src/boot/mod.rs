//! From an ELF payload to vCPUs that stand at its first instruction.
//!
//! The guest starts where no boot loader could take it: in ring 3 of long mode, with identity page
//! tables already made. (On the development machines ring 3 runs at native speed and ring 0 is
//! emulated at about 1 us an instruction.) Where everything lies is fixed in
//! [`pincow_guest_protocol::map`]; `guest/README.md` has it in words.
//!
//! RAM is expected to be zero, as fresh memory is: a payload's `.bss` is not written.

use pincow_guest_protocol::map::{MAX_VCPUS, RAM_MAX_BYTES};
use pincow_mmu::host::WindowMemory;
use thiserror::Error;
use vm_memory::GuestMemoryError;

use crate::kvm::KvmError;

pub mod elf;
pub mod entry;
mod fields;
pub mod linux;
pub mod paging;

/// The least RAM in bytes: the low structures, the payload, and as much again.
pub const RAM_LEAST_BYTES: u64 = 8 << 20;

/// Why a payload does not boot.
#[derive(Debug, Error)]
pub enum BootError {
    /// The payload is not one.
    #[error(transparent)]
    Elf(#[from] elf::ElfError),
    /// RAM has a size that the memory map has no room for.
    #[error(
        "{len_bytes:#x} bytes of RAM: choose a multiple of 2 MiB from {least:#x} to {most:#x} \
         (where the devices begin)"
    )]
    RamSize {
        /// The size asked for.
        len_bytes: u64,
        /// The least possible.
        least: u64,
        /// The most possible.
        most: u64,
    },
    /// The memory map has no room for so many vCPUs.
    #[error("{vcpus} vCPUs: a guest can have 1 to {most}")]
    Vcpus {
        /// The number asked for.
        vcpus: u32,
        /// The most possible.
        most: u32,
    },
    /// A structure could not be written to RAM.
    #[error("writing the {what} at {address:#x}: {source}")]
    Write {
        /// Which structure.
        what: &'static str,
        /// Where, guest-physical.
        address: u64,
        /// Why not.
        source: GuestMemoryError,
    },
    /// A vCPU did not take its first registers.
    #[error("vCPU {vcpu} at its entry: {source}")]
    Entry {
        /// Which vCPU.
        vcpu: u32,
        /// The call that failed.
        source: KvmError,
    },
}

/// A payload that lies in RAM, ready to be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Address of its first instruction.
    pub entry: u64,
    /// Bytes of RAM that the guest has.
    pub ram_bytes: u64,
    /// How many vCPUs it has.
    pub vcpus: u32,
}

/// Checks that the memory map has room for this guest.
///
/// # Errors
///
/// [`BootError::RamSize`] and [`BootError::Vcpus`].
pub(crate) fn check_size(ram_bytes: u64, vcpus: u32) -> Result<(), BootError> {
    let (least, most) = (RAM_LEAST_BYTES, RAM_MAX_BYTES);
    if !(least..=most).contains(&ram_bytes) || !ram_bytes.is_multiple_of(paging::PAGE_BYTES) {
        return Err(BootError::RamSize { len_bytes: ram_bytes, least, most });
    }
    let most = MAX_VCPUS as u32;
    if !(1..=most).contains(&vcpus) {
        return Err(BootError::Vcpus { vcpus, most });
    }
    Ok(())
}

/// Writes the payload and the low structures into RAM.
///
/// # Errors
///
/// [`BootError`]; unless it is about the size or the payload, RAM is then partly written.
pub fn load(
    memory: &WindowMemory,
    ram_bytes: u64,
    vcpus: u32,
    payload: &[u8],
) -> Result<Loaded, BootError> {
    check_size(ram_bytes, vcpus)?;
    let entry = elf::load(memory, ram_bytes, payload)?;
    paging::write(memory, ram_bytes)?;
    entry::write_descriptors(memory)?;
    Ok(Loaded { entry, ram_bytes, vcpus })
}

#[cfg(test)]
pub(crate) mod tests;
