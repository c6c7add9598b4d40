//! One userfaultfd: a typed wrapper over the kernel's requests.
//!
//! The `userfaultfd` crate (0.9) is not used: its build needs libclang, and the requests here are
//! seven. Requests that the kernel answers with EAGAIN (the address space is being changed) or
//! EINTR are repeated until they are through; each of them may be repeated without harm. Empty
//! ranges, which the kernel refuses, are left alone.

#![expect(unsafe_code, reason = "ioctl and read on a userfaultfd need raw system calls")]

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::uffd_sys as sys;
use crate::backing::Access;
use crate::gfn::PAGE_SIZE;

/// How many messages one read takes.
pub(super) const BATCH: usize = 16;

/// What a registered range reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    /// Writes to write-protected pages.
    Writes,
    /// Writes to write-protected pages, and any access to pages that the file lacks.
    WritesAndHoles,
    /// Any access to pages that the file lacks.
    Holes,
}

impl Watch {
    /// What a window has to report that shows its pages like this.
    pub(super) fn of(access: Access) -> Self {
        match access {
            Access::Writable | Access::Protected => Self::Writes,
            Access::Absent => Self::WritesAndHoles,
        }
    }
}

/// A thread waits in a page fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FaultEvent {
    /// Host virtual address of the page, in bytes.
    pub(super) page: usize,
    /// The access was a write.
    pub(super) write: bool,
    /// The page is there and write-protected; otherwise the file lacks it.
    pub(super) protected: bool,
}

/// An open userfaultfd with its features agreed.
#[derive(Debug)]
pub(super) struct Uffd {
    fd: OwnedFd,
}

/// A page of zeros to copy from.
#[repr(align(4096))]
struct ZeroPage([u8; PAGE_SIZE]);

static ZERO_PAGE: ZeroPage = ZeroPage([0; PAGE_SIZE]);

impl Uffd {
    /// Agrees on `features` (a set of `FEATURE_*`) on a new userfaultfd. Returns it with the set
    /// of features that the kernel has.
    ///
    /// A userfaultfd shakes hands once (`userfaultfd_api`), so probing uses one of its own.
    pub(super) fn handshake(fd: OwnedFd, features: u64) -> io::Result<(Self, u64)> {
        let uffd = Self { fd };
        let mut api = sys::Api { api: sys::UFFD_API, features, ioctls: 0 };
        // SAFETY: `Api` has the layout that UFFDIO_API reads and writes, and lives across the call.
        unsafe { uffd.request(sys::IOCTL_API, &mut api) }?;
        Ok((uffd, api.features))
    }

    /// Makes `len` bytes from `start` report faults here, in addition to what they report already.
    ///
    /// The kernel never takes a mode away from a range that has it: `userfaultfd_register` skips
    /// a mapping whose modes include those asked for.
    pub(super) fn register(&self, start: usize, len: usize, watch: Watch) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        let mode = match watch {
            Watch::Writes => sys::REGISTER_MODE_WP,
            Watch::WritesAndHoles => sys::REGISTER_MODE_WP | sys::REGISTER_MODE_MISSING,
            Watch::Holes => sys::REGISTER_MODE_MISSING,
        };
        let mut register = sys::Register { range: range(start, len), mode, ioctls: 0 };
        // SAFETY: `Register` has the layout that UFFDIO_REGISTER reads and writes. Registering
        // changes no byte of the range.
        unsafe { self.request(sys::IOCTL_REGISTER, &mut register) }
    }

    /// Ends all reports of the range, lifts its protection, and wakes who waits there. What was not
    /// registered stays as it is.
    pub(super) fn unregister(&self, start: usize, len: usize) -> io::Result<()> {
        let mut range = range(start, len);
        // SAFETY: `Range` has the layout that UFFDIO_UNREGISTER reads. No byte of the range changes.
        unsafe { self.request(sys::IOCTL_UNREGISTER, &mut range) }
    }

    /// Makes writes to the range trap, or lifts that. Wakes nobody.
    ///
    /// Linux 6.1 takes a range that lies in one mapping only, and says ENOENT to others before it does
    /// anything (`mwriteprotect_range`); 6.18 takes any that is registered. So a range that is refused
    /// like this is halved, down to single pages, whose refusal means that they are not registered.
    pub(super) fn write_protect(&self, start: usize, len: usize, on: bool) -> io::Result<()> {
        match self.write_protect_at_once(start, len, on) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) && len > PAGE_SIZE => {
                let first = (len / PAGE_SIZE).div_ceil(2) * PAGE_SIZE;
                self.write_protect(start, first, on)?;
                self.write_protect(start + first, len - first, on)
            }
            done => done,
        }
    }

    fn write_protect_at_once(&self, start: usize, len: usize, on: bool) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        let mode = if on { sys::WRITEPROTECT_MODE_WP } else { sys::WRITEPROTECT_MODE_DONTWAKE };
        let mut protect = sys::WriteProtect { range: range(start, len), mode };
        // SAFETY: `WriteProtect` has the layout that UFFDIO_WRITEPROTECT reads. Protection changes
        // no byte of the range.
        unsafe { self.request(sys::IOCTL_WRITEPROTECT, &mut protect) }
    }

    /// Wakes whoever waits in a fault on the range, to try again.
    pub(super) fn wake(&self, start: usize, len: usize) {
        let mut range = range(start, len);
        // SAFETY: `Range` has the layout that UFFDIO_WAKE reads. The kernel checks the range.
        // It fails only for ranges that are no addresses of a process, which have no waiters.
        let _ = unsafe { self.request(sys::IOCTL_WAKE, &mut range) };
    }

    /// Puts a page of zeros, write-protected, where the file lacks one, in one step. `false` when
    /// the page is there already; then nothing changes and nobody is woken.
    pub(super) fn fill_with_zeros(&self, page: usize) -> io::Result<bool> {
        loop {
            let mut copy = sys::Copy {
                dst: page as u64,
                src: ZERO_PAGE.0.as_ptr() as u64,
                len: PAGE_SIZE as u64,
                mode: sys::COPY_MODE_WP,
                copy: 0,
            };
            // SAFETY: `Copy` has the layout that UFFDIO_COPY reads and writes; the source is a
            // static page. The kernel fills a page that is not there, in a range registered here,
            // which is guest memory that Rust holds no reference to.
            match unsafe { self.request(sys::IOCTL_COPY, &mut copy) } {
                Ok(()) => return Ok(true),
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => return Ok(false),
                Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the faults that wait to be read, up to [`BATCH`], and gives each to `take`. Returns
    /// how many messages there were.
    pub(super) fn read(&self, mut take: impl FnMut(FaultEvent)) -> io::Result<usize> {
        let mut messages = [sys::Message::default(); BATCH];
        // SAFETY: the buffer is as long as said, and any bytes are a valid `Message`.
        let bytes = unsafe {
            libc::read(self.fd.as_raw_fd(), messages.as_mut_ptr().cast(), size_of_val(&messages))
        };
        let Ok(bytes) = usize::try_from(bytes) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        };
        let count = bytes / size_of::<sys::Message>();
        for message in &messages[..count] {
            if message.event == sys::EVENT_PAGEFAULT {
                take(FaultEvent {
                    page: message.address as usize & !(PAGE_SIZE - 1),
                    write: message.flags & sys::PAGEFAULT_FLAG_WRITE != 0,
                    protected: message.flags & sys::PAGEFAULT_FLAG_WP != 0,
                });
            }
        }
        Ok(count)
    }

    /// Issues `request`, again as long as the kernel says that it was disturbed.
    ///
    /// # Safety
    ///
    /// `argument` has the layout that `request` reads and writes, and what the request does to
    /// the address space breaks no reference that Rust code holds.
    unsafe fn request<T>(&self, request: libc::Ioctl, argument: &mut T) -> io::Result<()> {
        loop {
            // SAFETY: the caller's obligations; the file descriptor is open.
            let result = unsafe { libc::ioctl(self.fd.as_raw_fd(), request, &raw mut *argument) };
            if result >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => std::thread::yield_now(),
                _ => return Err(error),
            }
        }
    }
}

impl AsRawFd for Uffd {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

fn range(start: usize, len: usize) -> sys::Range {
    sys::Range { start: start as u64, len: len as u64 }
}
