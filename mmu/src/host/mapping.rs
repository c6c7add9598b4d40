//! Host virtual memory, as values that unmap themselves.

#![expect(unsafe_code, reason = "mmap and munmap need raw system calls")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

use crate::gfn::{PAGE_SIZE, Run};

/// A contiguous range of host virtual addresses, unmapped on drop.
///
/// Its bytes change under everybody's feet (guests, devices), so that no reference to them is ever
/// made: only raw pointers and system calls touch them.
#[derive(Debug)]
pub(super) struct Mapping {
    base: NonNull<u8>,
    len_bytes: usize,
}

// SAFETY: the type hands out addresses only. Whoever dereferences one answers for it.
unsafe impl Send for Mapping {}
// SAFETY: as for Send; mmap and munmap may be called from any thread.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Takes addresses and puts nothing there: an access is a segmentation fault.
    pub(super) fn reserve(len_bytes: usize) -> io::Result<Self> {
        Self::private(len_bytes, libc::PROT_NONE)
    }

    /// Zeros, readable and writable, of nobody else.
    pub(super) fn anonymous(len_bytes: usize) -> io::Result<Self> {
        Self::private(len_bytes, libc::PROT_READ | libc::PROT_WRITE)
    }

    fn private(len_bytes: usize, protection: i32) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nobody.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len_bytes, protection, flags, -1, 0) };
        Self::from_result(base, len_bytes)
    }

    /// Shows the first `len_bytes` of `file`, readable and writable.
    pub(super) fn shared(file: &File, len_bytes: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nobody.
        let base = unsafe {
            libc::mmap(std::ptr::null_mut(), len_bytes, protection, flags, file.as_raw_fd(), 0)
        };
        let mapping = Self::from_result(base, len_bytes)?;
        mapping.refuse_huge_pages(mapping.all());
        Ok(mapping)
    }

    /// Puts the bytes of `run` in `file` in place of what is shown at the same offset here. One
    /// step: other threads see what was there or what is there, never a gap.
    pub(super) fn show(&self, file: &File, run: Run) -> io::Result<()> {
        self.replace(run, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, file.as_raw_fd())
    }

    /// The same, but who writes gets a page of its own instead, which stays here.
    pub(super) fn show_private(&self, file: &File, run: Run) -> io::Result<()> {
        self.replace(run, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE, file.as_raw_fd())
    }

    /// Puts zeros of nobody else in place of what `run` shows.
    pub(super) fn show_zeros(&self, run: Run) -> io::Result<()> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        self.replace(run, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)?;
        self.refuse_huge_pages(run);
        Ok(())
    }

    /// Does what a write to each page of `run` would, without changing a byte: afterwards a page that
    /// was mapped private is here alone (MADV_POPULATE_WRITE, Linux 5.14).
    pub(super) fn populate(&self, run: Run) -> io::Result<()> {
        let at = self.address(run);
        // SAFETY: `address` has checked the range, and the advice changes no byte of it.
        let result =
            unsafe { libc::madvise(at.cast(), run.len_bytes(), libc::MADV_POPULATE_WRITE) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Asks the kernel to write `run` to its swap (MADV_PAGEOUT, Linux 5.4). It keeps what it likes.
    pub(super) fn page_out(&self, run: Run) {
        let at = self.address(run);
        // SAFETY: `address` has checked the range, and the advice changes no byte of it.
        let _ = unsafe { libc::madvise(at.cast(), run.len_bytes(), libc::MADV_PAGEOUT) };
    }

    /// Shows nothing in `run` any more; the addresses stay taken.
    pub(super) fn break_run(&self, run: Run) -> io::Result<()> {
        self.replace(run, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)
    }

    fn replace(&self, run: Run, protection: i32, flags: i32, fd: i32) -> io::Result<()> {
        let at = self.address(run);
        if run.pages == 0 {
            return Ok(());
        }
        let flags = flags | libc::MAP_FIXED | libc::MAP_NORESERVE;
        let offset = if fd < 0 { 0 } else { run.offset() as libc::off_t };
        // SAFETY: `address` has checked that the range lies in this mapping, whose bytes no Rust
        // reference points at.
        let result =
            unsafe { libc::mmap(at.cast(), run.len_bytes(), protection, flags, fd, offset) };
        if result == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Asks for 4 KiB pages only, since memory is counted by them (MADV_NOHUGEPAGE, madvise(2)).
    pub(super) fn refuse_huge_pages(&self, run: Run) {
        let at = self.address(run);
        // SAFETY: `address` has checked the range, and the advice changes no byte of it. It fails
        // on kernels without huge pages, which need no advice.
        let _ = unsafe { libc::madvise(at.cast(), run.len_bytes(), libc::MADV_NOHUGEPAGE) };
    }

    /// Where the bytes of `run` are.
    ///
    /// # Panics
    ///
    /// If the run does not lie in this mapping.
    pub(super) fn address(&self, run: Run) -> *mut u8 {
        let (offset, len) = (run.offset(), run.len_bytes());
        assert!(
            offset <= self.len_bytes && len <= self.len_bytes - offset,
            "{run} lies outside of a mapping of {:#x} bytes",
            self.len_bytes
        );
        self.base.as_ptr().wrapping_add(offset)
    }

    /// All of it.
    pub(super) fn all(&self) -> Run {
        Run::new(0, (self.len_bytes / PAGE_SIZE) as u32)
    }

    /// The first address.
    pub(super) fn start(&self) -> usize {
        self.base.as_ptr() as usize
    }

    /// How many bytes.
    pub(super) fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    fn from_result(base: *mut libc::c_void, len_bytes: usize) -> io::Result<Self> {
        match NonNull::new(base.cast::<u8>()) {
            Some(start) if base != libc::MAP_FAILED => Ok(Self { base: start, len_bytes }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is this value's own, and everything that hands its addresses out
        // keeps the value alive.
        let _ = unsafe { libc::munmap(self.base.as_ptr().cast(), self.len_bytes) };
    }
}
