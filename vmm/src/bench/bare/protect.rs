//! Write protection of the floor's memory: userfaultfd, with nobody who answers.

#![expect(unsafe_code, reason = "userfaultfd needs raw system calls")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use libc::Ioctl;

use super::{BenchError, View};

// From `include/uapi/linux/userfaultfd.h` of Linux 6.18, which the `libc` crate lacks.
const API: u64 = 0xaa;
const FEATURES: u64 = FEATURE_PAGEFAULT_FLAG_WP | FEATURE_WP_HUGETLBFS_SHMEM;
const FEATURE_PAGEFAULT_FLAG_WP: u64 = 1 << 0;
const FEATURE_WP_HUGETLBFS_SHMEM: u64 = 1 << 12;
const MODE_WP_REGISTER: u64 = 1 << 1;
const MODE_WP: u64 = 1 << 0;
const IOCTL_API: Ioctl = 0xc018_aa3f_u32 as Ioctl;
const IOCTL_REGISTER: Ioctl = 0xc020_aa00_u32 as Ioctl;
const IOCTL_WRITEPROTECT: Ioctl = 0xc018_aa06_u32 as Ioctl;
const IOCTL_NEW: Ioctl = 0x0000_aa00;
const OPEN_FLAGS: libc::c_int = libc::O_CLOEXEC | libc::O_NONBLOCK;

/// What makes writes to a [`View`] wait, from its beginning up to some address. Dropping it lets
/// everybody go on.
pub(in crate::bench) struct Protector {
    uffd: OwnedFd,
    start: u64,
}

impl Protector {
    /// Watches all of `view`. Nothing is protected yet.
    pub(in crate::bench) fn new(view: &View) -> Result<Self, BenchError> {
        let uffd = open().map_err(BenchError::system("userfaultfd"))?;
        let protector = Self { uffd, start: view.address() };
        let mut api = [API, FEATURES, 0];
        protector.request(IOCTL_API, &mut api).map_err(BenchError::system("UFFDIO_API"))?;
        protector.watch(view)?;
        Ok(protector)
    }

    /// Watches all of `view`, which was mapped anew.
    pub(in crate::bench) fn watch(&self, view: &View) -> Result<(), BenchError> {
        let mut register = [view.address(), view.len_bytes() as u64, MODE_WP_REGISTER, 0];
        self.request(IOCTL_REGISTER, &mut register).map_err(BenchError::system("UFFDIO_REGISTER"))
    }

    /// Protects the first `len_bytes`, in one call.
    pub(in crate::bench) fn protect(&self, len_bytes: u64) -> Result<(), BenchError> {
        self.request(IOCTL_WRITEPROTECT, &mut [self.start, len_bytes, MODE_WP])
            .map_err(BenchError::system("UFFDIO_WRITEPROTECT"))
    }

    /// Lifts it, and wakes who waits.
    pub(in crate::bench) fn lift(&self, len_bytes: u64) -> Result<(), BenchError> {
        self.request(IOCTL_WRITEPROTECT, &mut [self.start, len_bytes, 0])
            .map_err(BenchError::system("UFFDIO_WRITEPROTECT"))
    }

    /// All requests used here take structures of 64-bit words, as many as their number says.
    fn request<const WORDS: usize>(
        &self,
        request: Ioctl,
        words: &mut [u64; WORDS],
    ) -> io::Result<()> {
        loop {
            // SAFETY: the array has the layout of the request's structure and lives across the call.
            // What is protected is guest memory, to which no Rust reference is held.
            let result = unsafe { libc::ioctl(self.uffd.as_raw_fd(), request, words.as_mut_ptr()) };
            if result >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                // The address space was being changed.
                Some(libc::EAGAIN | libc::EINTR) => {}
                _ => return Err(error),
            }
        }
    }
}

/// The device first, then the system call.
fn open() -> io::Result<OwnedFd> {
    let device = File::options().read(true).write(true).open("/dev/userfaultfd");
    let fd = match device {
        // SAFETY: USERFAULTFD_IOC_NEW takes flags by value and returns a new descriptor.
        Ok(device) => unsafe { libc::ioctl(device.as_raw_fd(), IOCTL_NEW, OPEN_FLAGS) },
        // SAFETY: the system call takes flags by value and returns a new descriptor.
        Err(_) => unsafe { libc::syscall(libc::SYS_userfaultfd, OPEN_FLAGS) as libc::c_int },
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned `fd`, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
