//! The guest's own RAM, by page.
#![expect(unsafe_code, reason = "memory tables are reached by address")]

use core::arch::asm;
use core::ptr;

use pincow_guest_protocol::map::{
    CONTROL_BASE, DISKS_BASE, DISKS_END, PAGE_BYTES, PAGE_WORDS, STACKS_BASE, TABLE_BASE,
    TABLE_FIRST_PAGE,
};
use pincow_guest_protocol::{ByteMemory, Memory, Region};

const CONTROL_FIRST_PAGE: u64 = CONTROL_BASE / PAGE_BYTES as u64;
const CONTROL_END_PAGE: u64 = STACKS_BASE / PAGE_BYTES as u64;
const DISKS_FIRST_PAGE: u64 = DISKS_BASE / PAGE_BYTES as u64;
const DISKS_END_PAGE: u64 = DISKS_END / PAGE_BYTES as u64;

/// The pages that Rust does not know of: the control pages, the places of the disk driver, and the
/// tables up to the end of RAM.
#[derive(Clone, Copy)]
pub(crate) struct Ram {
    /// Who sees it.
    vcpu: usize,
    end_page: u64,
}

impl Ram {
    /// The RAM of a guest that has so many bytes of it, as this vCPU sees it.
    pub(crate) fn new(vcpu: usize, bytes: u64) -> Self {
        Self { vcpu, end_page: bytes / PAGE_BYTES as u64 }
    }

    /// Which vCPU sees it.
    pub(crate) fn vcpu(self) -> usize {
        self.vcpu
    }

    /// Whether these are pages of the tables.
    pub(crate) fn has_tables(self, region: Region) -> bool {
        region.first() >= TABLE_FIRST_PAGE && region.end() <= self.end_page
    }

    /// The page and the word of it that lie at `address`, if that is one of the tables.
    pub(crate) fn word_at(self, address: u64) -> Option<(u64, usize)> {
        let page = address / PAGE_BYTES as u64;
        let index = address % PAGE_BYTES as u64 / 8;
        let inside = (TABLE_FIRST_PAGE..self.end_page).contains(&page);
        (inside && address.is_multiple_of(8)).then_some((page, index as usize))
    }

    /// Whether these are bytes of the tables.
    pub(crate) fn has_bytes(self, address: u64, bytes: u64) -> bool {
        let end = self.end_page * PAGE_BYTES as u64;
        address >= TABLE_BASE && address.checked_add(bytes).is_some_and(|to| to <= end)
    }

    /// The address of a word; panics if it is not one of these pages.
    #[inline(always)]
    fn place(self, page: u64, index: usize) -> *mut u64 {
        let table = (TABLE_FIRST_PAGE..self.end_page).contains(&page);
        let control = (CONTROL_FIRST_PAGE..CONTROL_END_PAGE).contains(&page);
        let disks = (DISKS_FIRST_PAGE..DISKS_END_PAGE).contains(&page);
        assert!((table || control || disks) && index < PAGE_WORDS, "no such word");
        ptr::with_exposed_provenance_mut((page as usize * PAGE_WORDS + index) * 8)
    }

    /// The address of bytes of the tables; panics if there are none.
    #[inline(always)]
    fn run(self, address: u64, bytes: usize) -> *mut u8 {
        assert!(self.has_bytes(address, bytes as u64), "no such bytes");
        ptr::with_exposed_provenance_mut(address as usize)
    }
}

/// Copies `bytes` bytes, in an order that nobody may rely on.
///
/// # Safety
/// `from` is readable and `to` writable for `bytes` bytes, and they do not overlap.
#[inline(always)]
unsafe fn copy(to: *mut u8, from: *const u8, bytes: usize) {
    // SAFETY: the caller vouches for both ranges; the direction flag is clear by the ABI. Others may
    // write one of them meanwhile, hence assembly, of which the compiler assumes nothing.
    unsafe {
        asm!("rep movsb", inout("rcx") bytes => _, inout("rdi") to => _, inout("rsi") from => _,
             options(nostack, preserves_flags));
    }
}

impl Memory for Ram {
    #[inline(always)]
    fn load(&self, page: u64, index: usize) -> u64 {
        // SAFETY: the address is aligned and in RAM that is mapped and that no Rust object lies in
        // (`place` checks it; the image and the stacks are elsewhere). Others (the monitor, other
        // vCPUs, devices) may write it meanwhile, hence volatile; any bits are a valid u64.
        unsafe { self.place(page, index).read_volatile() }
    }

    #[inline(always)]
    fn store(&mut self, page: u64, index: usize, value: u64) {
        // SAFETY: as for `load`; nothing holds a reference to it.
        unsafe { self.place(page, index).write_volatile(value) }
    }

    #[inline(always)]
    fn read_words(&self, address: u64, words: &mut [u64]) {
        let bytes = size_of_val(words);
        // SAFETY: the source is RAM that is mapped and that no Rust object lies in (`run` checks
        // it), so it does not overlap `words`; any bits are valid words.
        unsafe { copy(words.as_mut_ptr().cast(), self.run(address, bytes), bytes) }
    }
}

impl ByteMemory for Ram {
    #[inline(always)]
    fn set_byte(&mut self, address: u64, value: u8) {
        let word =
            self.place(address / PAGE_BYTES as u64, (address % PAGE_BYTES as u64 / 8) as usize);
        let byte = word.cast::<u8>().wrapping_add((address % 8) as usize);
        // SAFETY: it is a byte of a word that `place` has checked; the rest as for `store`.
        unsafe { byte.write_volatile(value) }
    }

    #[inline(always)]
    fn write_words(&mut self, address: u64, words: &[u64]) {
        let bytes = size_of_val(words);
        // SAFETY: as for `read_words`, the other way round; nothing holds a reference to it.
        unsafe { copy(self.run(address, bytes), words.as_ptr().cast(), bytes) }
    }
}
