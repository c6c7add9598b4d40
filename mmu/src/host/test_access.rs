//! How tests touch windows: as a guest's CPU would, by plain loads and stores that may fault. And what
//! there is nothing to test of on this kernel.

#![expect(unsafe_code, reason = "tests load from and store to windows by raw pointers")]

use super::{BackingKind, HostMemory, MemoryOptions, Window};
use crate::backing::HostCow;
use crate::gfn::{Gfn, PAGE_SIZE};

/// Words in a page.
pub(crate) const WORDS: usize = PAGE_SIZE / 8;

/// Loads a word of a frame.
pub(crate) fn load(window: &Window, gfn: u32, word: usize) -> u64 {
    assert!(word < WORDS);
    let page = window.address(Gfn(gfn)).cast::<u64>();
    // SAFETY: `address` has checked the frame, the word lies in it, and the test has mapped it.
    unsafe { page.add(word).read_volatile() }
}

/// Stores a word of a frame.
pub(crate) fn store(window: &Window, gfn: u32, word: usize, value: u64) {
    assert!(word < WORDS);
    let page = window.address(Gfn(gfn)).cast::<u64>();
    // SAFETY: as in `load`.
    unsafe { page.add(word).write_volatile(value) }
}

/// Whether this kernel can make accesses wait for what is missing and for what is protected.
pub(crate) fn can_wait() -> bool {
    let options = MemoryOptions { backing: BackingKind::HostCow, ..MemoryOptions::default() };
    let memory = HostMemory::new(1, options).expect("private mappings");
    let can = memory.deferring().is_some();
    if !can {
        eprintln!("skipped: this kernel does not protect pages that are missing (Linux 6.4)");
    }
    can
}
