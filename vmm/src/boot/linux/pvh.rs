//! `hvm_start_info`, what a kernel gets that is entered by PVH (Xen's
//! public/arch-x86/hvm/start_info.h).

use linux_loader::loader::elf::start_info::{
    hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info,
};
use pincow_mmu::host::WindowMemory;
use vm_memory::{ByteValued, Bytes, GuestAddress};

use super::initrd::Placed;
use super::layout::{COMMAND_LINE, MEMORY_MAP, MODULES, START_INFO};
use super::{LinuxError, memory_map};

#[cfg(test)]
mod tests;

/// XEN_HVM_START_MAGIC_VALUE.
const MAGIC: u32 = 0x336e_c578;
/// The version with a memory map.
const VERSION: u32 = 1;

/// What the start information tells the kernel.
pub(super) struct StartInfo {
    pub(super) ram_bytes: u64,
    pub(super) initrd: Option<Placed>,
    /// Address of the ACPI root pointer.
    pub(super) rsdp: u64,
}

impl StartInfo {
    /// Writes it, with its tables.
    pub(super) fn write(&self, memory: &WindowMemory) -> Result<(), LinuxError> {
        let ranges = memory_map::ranges(self.ram_bytes);
        let info = hvm_start_info {
            magic: MAGIC,
            version: VERSION,
            nr_modules: u32::from(self.initrd.is_some()),
            modlist_paddr: MODULES,
            cmdline_paddr: COMMAND_LINE,
            rsdp_paddr: self.rsdp,
            memmap_paddr: MEMORY_MAP,
            memmap_entries: ranges.len() as u32,
            ..Default::default()
        };
        put(memory, info, START_INFO)?;
        if let Some(Placed { start, len_bytes }) = self.initrd {
            let module = hvm_modlist_entry { paddr: start, size: len_bytes, ..Default::default() };
            put(memory, module, MODULES)?;
        }
        let mut address = MEMORY_MAP;
        for range in ranges {
            let (addr, size, type_) = (range.start, range.len_bytes, range.kind as u32);
            put(memory, hvm_memmap_table_entry { addr, size, type_, reserved: 0 }, address)?;
            address += size_of::<hvm_memmap_table_entry>() as u64;
        }
        Ok(())
    }
}

fn put<T: ByteValued>(memory: &WindowMemory, object: T, address: u64) -> Result<(), LinuxError> {
    let what = "PVH start information";
    memory.write_obj(object, GuestAddress(address)).map_err(|source| LinuxError::Write {
        what,
        address,
        source,
    })
}
