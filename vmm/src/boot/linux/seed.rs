//! SETUP_RNG_SEED: 32 random bytes, so that the kernel's generator is ready before anything asks.
//!
//! Kernels know it from 6.0 on and wipe it once it is used; older ones skip it. PVH has no place for
//! it.

use std::fs::File;
use std::io::Read;

use pincow_mmu::host::WindowMemory;
use vm_memory::{Bytes, GuestAddress};

use super::LinuxError;
use super::layout::SEED;

/// `struct setup_data`: next, type, len (boot.rst, `setup_data`).
const HEADER_LEN: usize = 16;
const SETUP_RNG_SEED: u32 = 9;
const SEED_LEN: usize = 32;

/// Writes the entry; returns its address.
pub(super) fn write(memory: &WindowMemory) -> Result<u64, LinuxError> {
    let mut entry = [0; HEADER_LEN + SEED_LEN];
    entry[8..12].copy_from_slice(&SETUP_RNG_SEED.to_le_bytes());
    entry[12..16].copy_from_slice(&(SEED_LEN as u32).to_le_bytes());
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut entry[HEADER_LEN..]))
        .map_err(LinuxError::Seed)?;
    memory.write_slice(&entry, GuestAddress(SEED)).map_err(|source| LinuxError::Write {
        what: "random seed",
        address: SEED,
        source,
    })?;
    Ok(SEED)
}
