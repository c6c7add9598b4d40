//! Identity page tables over RAM and the device window (Intel SDM volume 3, 5.5, 4-level paging).
//!
//! All pages are 2 MiB, for user and supervisor, writable, executable, and marked accessed and
//! dirty from the start: the CPU then never writes to the tables. Any other address faults.
//!
//! Nested paging takes a walk of these tables for a write all the same: the host's page must be
//! writable whether or not a bit is to be set (AMD APM volume 2, nested paging; Intel SDM volume 3,
//! accessed and dirty flags for EPT). So a guest that shares its tables with others copies those that
//! it walks, four mostly, as soon as it runs. With shadow paging KVM reads them in the guest's
//! stead, and they stay shared.

use pincow_guest_protocol::devices::{DEVICES_BASE, DEVICES_BYTES};
use pincow_guest_protocol::map::{PAGE_TABLES_BASE, PAGE_TABLES_END};
use pincow_mmu::host::WindowMemory;
use vm_memory::{Bytes, GuestAddress};

use super::BootError;

#[cfg(test)]
mod tests;

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;

const TABLE: u64 = PRESENT | WRITABLE | USER | ACCESSED;
const LARGE_PAGE: u64 = TABLE | DIRTY | LARGE;

const TABLE_BYTES: u64 = 0x1000;

/// Bytes of one page; RAM is a multiple of it.
pub const PAGE_BYTES: u64 = 2 << 20;
const GIB: u64 = 1 << 30;

/// Page directories: one per GiB, as many as reach the end of the device window.
const DIRECTORIES: u64 = (DEVICES_BASE + DEVICES_BYTES).div_ceil(GIB);

/// Address of the PML4: what goes into CR3.
pub const PML4: u64 = PAGE_TABLES_BASE;
const POINTERS: u64 = PML4 + TABLE_BYTES;
const FIRST_DIRECTORY: u64 = POINTERS + TABLE_BYTES;

const _: () = assert!(FIRST_DIRECTORY + DIRECTORIES * TABLE_BYTES <= PAGE_TABLES_END);
const _: () = assert!(DEVICES_BASE.is_multiple_of(PAGE_BYTES) && DEVICES_BYTES == PAGE_BYTES);

/// Writes the page tables for `ram_bytes` bytes of RAM at address 0.
///
/// # Errors
///
/// [`BootError::Write`] when RAM does not reach as far as the tables.
pub fn write(memory: &WindowMemory, ram_bytes: u64) -> Result<(), BootError> {
    put(memory, PML4, &[POINTERS | TABLE])?;
    let directories: Vec<u64> =
        (0..DIRECTORIES).map(|gib| (FIRST_DIRECTORY + gib * TABLE_BYTES) | TABLE).collect();
    put(memory, POINTERS, &directories)?;
    let in_ram: Vec<u64> =
        (0..ram_bytes / PAGE_BYTES).map(|page| (page * PAGE_BYTES) | LARGE_PAGE).collect();
    // Directories follow each other, so entry n of all of them is page n.
    put(memory, FIRST_DIRECTORY, &in_ram)?;
    let devices = FIRST_DIRECTORY + DEVICES_BASE / PAGE_BYTES * 8;
    put(memory, devices, &[DEVICES_BASE | LARGE_PAGE])
}

fn put(memory: &WindowMemory, address: u64, entries: &[u64]) -> Result<(), BootError> {
    let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    memory.write_slice(&bytes, GuestAddress(address)).map_err(|source| BootError::Write {
        what: "page tables",
        address,
        source,
    })
}
