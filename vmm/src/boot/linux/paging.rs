//! Identity page tables for the first 4 GiB, in pages of 2 MiB, for a kernel that is entered in
//! 64-bit mode (boot.rst asks for the kernel, the zero page and the command line).

use pincow_mmu::host::WindowMemory;
use vm_memory::{Bytes, GuestAddress};

use super::LinuxError;
use super::layout::{PAGE_TABLES, SEED};

/// Present and writable.
const TABLE: u64 = 1 | 1 << 1;
/// The same, and 2 MiB.
const LARGE_PAGE: u64 = TABLE | 1 << 7;
const TABLE_BYTES: u64 = 4096;
const ENTRIES: u64 = 512;
const DIRECTORIES: u64 = 4;

/// What goes into CR3.
pub(super) const PML4: u64 = PAGE_TABLES;
const POINTERS: u64 = PML4 + TABLE_BYTES;
const FIRST_DIRECTORY: u64 = POINTERS + TABLE_BYTES;

const _: () = assert!(FIRST_DIRECTORY + DIRECTORIES * TABLE_BYTES <= SEED);

/// Writes the tables.
pub(super) fn write(memory: &WindowMemory) -> Result<(), LinuxError> {
    put(memory, PML4, [POINTERS | TABLE])?;
    put(memory, POINTERS, (0..DIRECTORIES).map(|n| (FIRST_DIRECTORY + n * TABLE_BYTES) | TABLE))?;
    put(memory, FIRST_DIRECTORY, (0..DIRECTORIES * ENTRIES).map(|page| page << 21 | LARGE_PAGE))
}

fn put(
    memory: &WindowMemory,
    address: u64,
    entries: impl IntoIterator<Item = u64>,
) -> Result<(), LinuxError> {
    let bytes: Vec<u8> = entries.into_iter().flat_map(u64::to_le_bytes).collect();
    memory.write_slice(&bytes, GuestAddress(address)).map_err(|source| LinuxError::Write {
        what: "page tables",
        address,
        source,
    })
}
