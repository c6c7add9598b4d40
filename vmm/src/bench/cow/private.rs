//! Which pages of a range of addresses are copies of this process, asked of the kernel without pincow.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use pincow_guest_protocol::map::PAGE_BYTES;

/// Bits of a word of `/proc/self/pagemap` (Documentation/admin-guide/mm/pagemap.rst).
const FILE_OR_SHARED: u64 = 1 << 61;
const SWAPPED: u64 = 1 << 62;
const PRESENT: u64 = 1 << 63;

/// How many pages of `len_bytes` from `address` on are anonymous memory: those that were copied.
pub(super) fn pages(address: u64, len_bytes: usize) -> io::Result<u64> {
    const WORD: usize = size_of::<u64>();
    let mut words = vec![0; len_bytes / PAGE_BYTES * WORD];
    let pagemap = File::open("/proc/self/pagemap")?;
    pagemap.read_exact_at(&mut words, address / PAGE_BYTES as u64 * WORD as u64)?;
    let (words, _) = words.as_chunks::<WORD>();
    let is_copy = |word: &&[u8; WORD]| {
        let word = u64::from_ne_bytes(**word);
        word & FILE_OR_SHARED == 0 && word & (PRESENT | SWAPPED) != 0
    };
    Ok(words.iter().filter(is_copy).count() as u64)
}
