//! Getting a userfaultfd that also reports faults of the kernel's own accesses.
//!
//! KVM touches guest memory from inside the kernel, so a userfaultfd for user-mode faults only
//! (`UFFD_USER_MODE_ONLY`) is no use. One for all faults is had from `/dev/userfaultfd` with
//! permission on the file (Linux 6.1), or from the system call with CAP_SYS_PTRACE or
//! `vm.unprivileged_userfaultfd=1` (userfaultfd(2)).

#![expect(unsafe_code, reason = "opening a userfaultfd needs raw system calls")]

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use serde::Serialize;

use super::uffd_sys as sys;

/// The device that hands out userfaultfds.
const DEVICE: &str = "/dev/userfaultfd";

/// Where a userfaultfd came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UffdSource {
    /// `/dev/userfaultfd`.
    Device,
    /// The system call.
    Syscall,
}

/// No userfaultfd is to be had.
#[derive(Debug, thiserror::Error)]
pub enum UffdOpenError {
    /// The permission is missing, and the device is there to grant it.
    #[error(
        "no permission to catch page faults of guests: /dev/userfaultfd: {device}; system call \
         userfaultfd: {syscall}. Run: sudo setfacl -m u:$(id -un):rw /dev/userfaultfd"
    )]
    DeviceDenied {
        /// What opening the device gave.
        device: io::Error,
        /// What the system call gave.
        syscall: io::Error,
    },
    /// The permission is missing, and there is no device.
    #[error(
        "no permission to catch page faults of guests: system call userfaultfd: {syscall}. \
         Run: sudo sysctl -w vm.unprivileged_userfaultfd=1"
    )]
    SyscallDenied {
        /// What the system call gave.
        syscall: io::Error,
    },
    /// The kernel has none.
    #[error("this kernel has no userfaultfd: it needs Linux 5.19 with CONFIG_USERFAULTFD=y")]
    Unsupported,
    /// Something else, such as too many open files.
    #[error("opening a userfaultfd failed: {0}")]
    Failed(io::Error),
}

/// Opens a userfaultfd for all faults: from the device first, then from the system call.
pub(super) fn open() -> Result<(OwnedFd, UffdSource), UffdOpenError> {
    let device = match open_device() {
        Ok(fd) => return Ok((fd, UffdSource::Device)),
        Err(error) => error,
    };
    let syscall = match open_syscall() {
        Ok(fd) => return Ok((fd, UffdSource::Syscall)),
        Err(error) => error,
    };
    Err(match (syscall.kind(), syscall.raw_os_error()) {
        (ErrorKind::PermissionDenied, _) if device.kind() == ErrorKind::NotFound => {
            UffdOpenError::SyscallDenied { syscall }
        }
        (ErrorKind::PermissionDenied, _) => UffdOpenError::DeviceDenied { device, syscall },
        (_, Some(libc::ENOSYS)) => UffdOpenError::Unsupported,
        _ => UffdOpenError::Failed(syscall),
    })
}

fn open_device() -> io::Result<OwnedFd> {
    let device =
        File::options().read(true).write(true).custom_flags(libc::O_CLOEXEC).open(DEVICE)?;
    // SAFETY: USERFAULTFD_IOC_NEW takes flags by value and returns a new file descriptor.
    owned(unsafe { libc::ioctl(device.as_raw_fd(), sys::IOCTL_NEW, sys::OPEN_FLAGS) })
}

fn open_syscall() -> io::Result<OwnedFd> {
    // SAFETY: userfaultfd takes flags by value and returns a new file descriptor.
    let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, sys::OPEN_FLAGS) };
    owned(i32::try_from(fd).unwrap_or(-1))
}

fn owned(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned `fd`, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests;
