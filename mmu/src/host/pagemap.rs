//! Which pages of a private mapping the kernel has copied, as its page tables tell.
//!
//! A page of a `MAP_PRIVATE` mapping is the file's until it is written; from then on it is anonymous
//! memory. `PAGEMAP_SCAN` (Linux 6.7) gives those by runs; before, `/proc/self/pagemap` has a word for
//! each page (Documentation/admin-guide/mm/pagemap.rst). What was swapped out counts, too.

#![expect(unsafe_code, reason = "PAGEMAP_SCAN needs a raw system call")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use super::mapping::Mapping;
use crate::gfn::{Gfn, PAGE_SIZE, Run, join};

#[cfg(test)]
mod tests;

/// `_IOWR('f', 16, struct pm_scan_arg)` (`include/uapi/linux/fs.h`, Linux 6.7).
pub(super) const PAGEMAP_SCAN: libc::Ioctl = 0xC060_6610;

/// `struct pm_scan_arg` (`include/uapi/linux/fs.h`).
#[repr(C)]
#[derive(Default)]
struct ScanArgument {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region`: where pages are that belong to the same categories.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

const PAGE_IS_FILE: u64 = 1 << 2;
const PAGE_IS_PRESENT: u64 = 1 << 3;
const PAGE_IS_SWAPPED: u64 = 1 << 4;

/// Regions that one request returns at most.
const BATCH: usize = 512;

/// Bits of a word of `/proc/self/pagemap`.
const FILE_OR_SHARED: u64 = 1 << 61;
const SWAPPED: u64 = 1 << 62;
const PRESENT: u64 = 1 << 63;

/// Opens what [`copied`] reads. Once this has succeeded, that cannot fail.
pub(super) fn open() -> io::Result<&'static File> {
    static PAGEMAP: OnceLock<File> = OnceLock::new();
    match PAGEMAP.get() {
        Some(file) => Ok(file),
        None => File::open("/proc/self/pagemap").map(|file| PAGEMAP.get_or_init(|| file)),
    }
}

/// The pages of `run` that the kernel has copied in a private mapping, as neighbours, in order.
///
/// # Panics
/// When the kernel does not tell: who guessed would lose what a guest wrote.
pub(super) fn copied(mapping: &Mapping, run: Run) -> Vec<Run> {
    if run.pages == 0 {
        return Vec::new();
    }
    let start = mapping.address(run) as usize;
    let found = open().and_then(|pagemap| match scan(pagemap, start, run) {
        Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => read(pagemap, start, run),
        found => found,
    });
    found.unwrap_or_else(|error| panic!("reading the page tables of {run} at {start:#x}: {error}"))
}

/// Asks for runs.
fn scan(pagemap: &File, start: usize, run: Run) -> io::Result<Vec<Run>> {
    let mut regions = [Region::default(); BATCH];
    let (mut at, end) = (start as u64, (start + run.len_bytes()) as u64);
    let gfn = |address: u64| run.first.0 + ((address - start as u64) / PAGE_SIZE as u64) as u32;
    let mut runs = Vec::new();
    while at < end {
        let mut argument = ScanArgument {
            size: size_of::<ScanArgument>() as u64,
            start: at,
            end,
            vec: regions.as_mut_ptr() as u64,
            vec_len: BATCH as u64,
            category_inverted: PAGE_IS_FILE,
            category_mask: PAGE_IS_FILE,
            category_anyof_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
            return_mask: PAGE_IS_FILE,
            ..ScanArgument::default()
        };
        // SAFETY: the argument has the layout and size that the request's number says, and the vector
        // has the length given; both live across the call. Page tables are only read.
        let count = unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN, &raw mut argument) };
        let Ok(count) = usize::try_from(count) else {
            match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => continue,
                error => return Err(error),
            }
        };
        for region in &regions[..count] {
            join(&mut runs, Run::new(gfn(region.start), gfn(region.end)));
        }
        at = argument.walk_end;
    }
    Ok(runs)
}

/// Reads a word per page.
fn read(pagemap: &File, start: usize, run: Run) -> io::Result<Vec<Run>> {
    const WORD: usize = size_of::<u64>();
    let mut words = vec![0; WORD * BATCH.min(run.pages as usize)];
    let mut runs = Vec::new();
    for piece in (0..run.pages as usize).step_by(BATCH) {
        let words = &mut words[..WORD * BATCH.min(run.pages as usize - piece)];
        pagemap.read_exact_at(words, ((start / PAGE_SIZE + piece) * WORD) as u64)?;
        let (words, _) = words.as_chunks::<WORD>();
        for (gfn, word) in (run.first.0 + piece as u32..).zip(words) {
            let word = u64::from_ne_bytes(*word);
            if word & FILE_OR_SHARED == 0 && word & (PRESENT | SWAPPED) != 0 {
                join(&mut runs, Run::one(Gfn(gfn)));
            }
        }
    }
    Ok(runs)
}
