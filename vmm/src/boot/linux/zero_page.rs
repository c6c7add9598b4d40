//! `boot_params`, the zero page of the 64-bit boot protocol (Documentation/arch/x86/boot.rst and
//! zero-page.rst).

use linux_loader::loader::bootparam::{boot_e820_entry, boot_params, setup_header};
use pincow_mmu::host::WindowMemory;
use vm_memory::{Bytes, GuestAddress};

use super::initrd::Placed;
use super::layout::{COMMAND_LINE, ZERO_PAGE};
use super::{LinuxError, memory_map};

#[cfg(test)]
mod tests;

/// boot_flag, and "HdrS" in header, of a header that is not from a bzImage.
const BOOT_FLAG: u16 = 0xaa55;
const MAGIC: u32 = 0x5372_6448;
/// type_of_loader: none that has a number.
const UNKNOWN_LOADER: u8 = 0xff;
/// The version with SETUP_RNG_SEED's predecessors, setup_data and a command line of any length.
const VERSION: u16 = 0x20f;

/// What the zero page tells the kernel.
pub(super) struct ZeroPage {
    /// The bzImage's own header, if it is one.
    pub(super) header: Option<setup_header>,
    pub(super) ram_bytes: u64,
    pub(super) initrd: Option<Placed>,
    /// Bytes of the command line, its final 0 included.
    pub(super) command_line_len: u32,
    /// Address of the ACPI root pointer.
    pub(super) rsdp: u64,
    /// Address of the first `setup_data`.
    pub(super) setup_data: u64,
}

impl ZeroPage {
    /// Writes it.
    pub(super) fn write(&self, memory: &WindowMemory) -> Result<(), LinuxError> {
        memory
            .write_obj(self.params(), GuestAddress(ZERO_PAGE))
            .map_err(|source| LinuxError::Write { what: "zero page", address: ZERO_PAGE, source })
    }

    fn params(&self) -> boot_params {
        let mut params = boot_params { acpi_rsdp_addr: self.rsdp, ..Default::default() };
        params.hdr = self.header.unwrap_or(setup_header {
            boot_flag: BOOT_FLAG,
            header: MAGIC,
            version: VERSION,
            cmdline_size: self.command_line_len,
            ..Default::default()
        });
        params.hdr.type_of_loader = UNKNOWN_LOADER;
        params.hdr.cmd_line_ptr = COMMAND_LINE as u32;
        params.hdr.setup_data = self.setup_data;
        if let Some(Placed { start, len_bytes }) = self.initrd {
            (params.hdr.ramdisk_image, params.hdr.ramdisk_size) = (start as u32, len_bytes as u32);
        }
        let ranges = memory_map::ranges(self.ram_bytes);
        for (entry, range) in params.e820_table.iter_mut().zip(&ranges) {
            *entry = boot_e820_entry {
                addr: range.start,
                size: range.len_bytes,
                r#type: range.kind as u32,
            };
        }
        params.e820_entries = ranges.len() as u8;
        params
    }
}
