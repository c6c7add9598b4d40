//! The floor's memory: a memfd with a guest's bytes, and mappings of it.

#![expect(unsafe_code, reason = "memfd_create, mmap, and access to what it maps")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use vm_memory::{Bytes, GuestAddress};

use super::BenchError;
use crate::guest::Guest;

/// How much is copied at once.
const PIECE_BYTES: usize = 2 << 20;

/// A guest's memory in a memfd, which is there before anything is measured.
pub(in crate::bench) struct Content {
    file: File,
    len_bytes: usize,
}

/// What a write through a mapping does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) enum Writes {
    /// It changes the memfd.
    Through,
    /// The kernel copies the page first.
    Copy,
}

impl Content {
    /// Memory as large as `guest`'s, with a copy of the first `copied_bytes` of it. The rest is
    /// zeros, which take no memory.
    pub(in crate::bench) fn of(guest: &Guest, copied_bytes: u64) -> Result<Self, BenchError> {
        let ram = guest.machine().ram();
        let content = Self::zeros(ram.len_bytes())?;
        let mut piece = vec![0; PIECE_BYTES];
        for at in (0..copied_bytes.min(content.len_bytes as u64)).step_by(PIECE_BYTES) {
            ram.memory().read_slice(&mut piece, GuestAddress(at))?;
            content.file.write_all_at(&piece, at).map_err(BenchError::system("pwrite"))?;
        }
        Ok(content)
    }

    /// So many bytes of zeros, which take no memory before they are written.
    pub(in crate::bench) fn zeros(len_bytes: usize) -> Result<Self, BenchError> {
        let file = memfd().map_err(BenchError::system("memfd_create"))?;
        file.set_len(len_bytes as u64).map_err(BenchError::system("ftruncate"))?;
        Ok(Self { file, len_bytes })
    }

    /// The same, with bytes at some places.
    pub(in crate::bench) fn with(
        len_bytes: usize,
        written: &[(u64, Vec<u8>)],
    ) -> Result<Self, BenchError> {
        let content = Self::zeros(len_bytes)?;
        let write = |(at, bytes): &(u64, Vec<u8>)| content.file.write_all_at(bytes, *at);
        written.iter().try_for_each(write).map_err(BenchError::system("pwrite"))?;
        Ok(content)
    }

    /// Memory that the kernel charges to it, in bytes: `st_blocks` of fstat(2).
    pub(in crate::bench) fn resident_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.blocks() * 512)
    }

    /// The memfd's inode, as `/proc/self/maps` names it.
    pub(in crate::bench) fn inode(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.ino())
    }

    /// Maps all of it, in one call.
    pub(in crate::bench) fn map(&self, writes: Writes) -> Result<View, BenchError> {
        let sharing = match writes {
            Writes::Through => libc::MAP_SHARED,
            Writes::Copy => libc::MAP_PRIVATE,
        };
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = sharing | libc::MAP_NORESERVE;
        let fd = self.file.as_raw_fd();
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nobody.
        let base =
            unsafe { libc::mmap(std::ptr::null_mut(), self.len_bytes, protection, flags, fd, 0) };
        match NonNull::new(base.cast()) {
            Some(start) if base != libc::MAP_FAILED => {
                Ok(View { base: start, len_bytes: self.len_bytes })
            }
            _ => Err(BenchError::system("mmap")(io::Error::last_os_error())),
        }
    }
}

/// A mapping of a [`Content`], unmapped on drop.
pub(in crate::bench) struct View {
    base: NonNull<u8>,
    len_bytes: usize,
}

impl View {
    /// Where it begins in this process.
    pub(in crate::bench) fn address(&self) -> u64 {
        self.base.as_ptr() as u64
    }

    /// Its length.
    pub(in crate::bench) fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// The word at a guest-physical address.
    pub(in crate::bench) fn load(&self, address: u64) -> u64 {
        self.word(address).load(Ordering::Acquire)
    }

    /// Writes the word at a guest-physical address.
    pub(in crate::bench) fn store(&self, address: u64, value: u64) {
        self.word(address).store(value, Ordering::Release);
    }

    fn word(&self, address: u64) -> &AtomicU64 {
        let at = address as usize;
        assert!(at.is_multiple_of(8) && at < self.len_bytes, "no word at {address:#x}");
        // SAFETY: the address is aligned and lies in the mapping, which lives as long as `self`;
        // guests write it meanwhile, and only whole words of it are used, atomically.
        unsafe { &*self.base.as_ptr().add(at).cast() }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: the range is this value's own; whoever hands its address out keeps the value.
        let _ = unsafe { libc::munmap(self.base.as_ptr().cast(), self.len_bytes) };
    }
}

fn memfd() -> io::Result<File> {
    // SAFETY: the name is a C string, and the flags are passed by value.
    let fd = unsafe { libc::memfd_create(c"pincow-floor".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned `fd`, and nobody else knows it.
    Ok(unsafe { File::from_raw_fd(fd) })
}
