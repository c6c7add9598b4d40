//! A bell that interrupts the fault thread's sleep: an eventfd.

#![expect(unsafe_code, reason = "eventfd needs a raw system call")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

/// Rung by any thread, heard by one.
#[derive(Debug)]
pub(super) struct Bell {
    file: File,
}

impl Bell {
    /// Makes a silent bell.
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes values only.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just returned `fd`, and nobody else knows it.
        Ok(Self { file: unsafe { File::from_raw_fd(fd) } })
    }

    /// Rings. It fails only when it has been rung 2^64 times unheard, and then it rings anyway.
    pub(super) fn ring(&self) {
        let _ = (&self.file).write(&1_u64.to_ne_bytes());
    }

    /// Silences the bell until it is rung again.
    pub(super) fn hear(&self) {
        let _ = (&self.file).read(&mut [0; 8]);
    }
}

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}
