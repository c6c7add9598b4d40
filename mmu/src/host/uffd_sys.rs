//! The userfaultfd interface of the kernel: numbers and layouts, nothing else.
//!
//! Source: `include/uapi/linux/userfaultfd.h` of Linux 6.18. The `libc` crate has the system call's
//! number only.

use libc::{Ioctl, c_int};

/// The interface version that `UFFDIO_API` asks for.
pub(super) const UFFD_API: u64 = 0xAA;
/// Write faults carry a flag that tells protection from absence (Linux 5.7).
pub(super) const FEATURE_PAGEFAULT_FLAG_WP: u64 = 1 << 0;
/// Absent pages of shared memory can be waited for (Linux 4.11).
pub(super) const FEATURE_MISSING_SHMEM: u64 = 1 << 5;
/// Pages of shared memory that the page table lacks can be waited for (Linux 5.14).
pub(super) const FEATURE_MINOR_SHMEM: u64 = 1 << 10;
/// Shared memory can be write-protected (Linux 5.19).
pub(super) const FEATURE_WP_HUGETLBFS_SHMEM: u64 = 1 << 12;
/// Anonymous pages can be write-protected before they exist (Linux 6.4).
pub(super) const FEATURE_WP_UNPOPULATED: u64 = 1 << 13;
/// Pages can be made to fail on access (Linux 6.6).
pub(super) const FEATURE_POISON: u64 = 1 << 14;

/// Register: an access to a page that the file lacks waits.
pub(super) const REGISTER_MODE_MISSING: u64 = 1 << 0;
/// Register: a write to a page that is write-protected waits.
pub(super) const REGISTER_MODE_WP: u64 = 1 << 1;
/// Write-protect: set (without it: lift, and wake).
pub(super) const WRITEPROTECT_MODE_WP: u64 = 1 << 0;
pub(super) const WRITEPROTECT_MODE_DONTWAKE: u64 = 1 << 1;
/// Copy: the new page is write-protected.
pub(super) const COPY_MODE_WP: u64 = 1 << 1;

/// Event: a thread waits in a page fault.
pub(super) const EVENT_PAGEFAULT: u8 = 0x12;
/// Fault flag: the access was a write.
pub(super) const PAGEFAULT_FLAG_WRITE: u64 = 1 << 0;
/// Fault flag: the page is there and write-protected.
pub(super) const PAGEFAULT_FLAG_WP: u64 = 1 << 1;

/// `struct uffdio_api`.
#[repr(C)]
#[derive(Default)]
pub(super) struct Api {
    pub(super) api: u64,
    pub(super) features: u64,
    pub(super) ioctls: u64,
}

/// `struct uffdio_range`: bytes, both multiples of the page size.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) start: u64,
    pub(super) len: u64,
}

/// `struct uffdio_register`.
#[repr(C)]
pub(super) struct Register {
    pub(super) range: Range,
    pub(super) mode: u64,
    pub(super) ioctls: u64,
}

/// `struct uffdio_writeprotect`.
#[repr(C)]
pub(super) struct WriteProtect {
    pub(super) range: Range,
    pub(super) mode: u64,
}

/// `struct uffdio_copy`; `copy` is bytes done or a negative errno.
#[repr(C)]
pub(super) struct Copy {
    pub(super) dst: u64,
    pub(super) src: u64,
    pub(super) len: u64,
    pub(super) mode: u64,
    pub(super) copy: i64,
}

/// `struct uffd_msg`, as a page fault fills it.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Message {
    pub(super) event: u8,
    pub(super) reserved: [u8; 7],
    pub(super) flags: u64,
    pub(super) address: u64,
    pub(super) thread: u64,
}

const READ: u32 = 2;
const WRITE: u32 = 1;

/// `_IOC(direction, 0xAA, number, size_of::<T>())` (`include/uapi/asm-generic/ioctl.h`).
const fn request<T>(direction: u32, number: u32) -> Ioctl {
    ((direction << 30) | ((size_of::<T>() as u32) << 16) | (0xAA << 8) | number) as Ioctl
}

/// `UFFDIO_API`.
pub(super) const IOCTL_API: Ioctl = request::<Api>(READ | WRITE, 0x3F);
/// `UFFDIO_REGISTER`.
pub(super) const IOCTL_REGISTER: Ioctl = request::<Register>(READ | WRITE, 0x00);
/// `UFFDIO_UNREGISTER`.
pub(super) const IOCTL_UNREGISTER: Ioctl = request::<Range>(READ, 0x01);
/// `UFFDIO_WAKE`.
pub(super) const IOCTL_WAKE: Ioctl = request::<Range>(READ, 0x02);
/// `UFFDIO_COPY`.
pub(super) const IOCTL_COPY: Ioctl = request::<Copy>(READ | WRITE, 0x03);
/// `UFFDIO_WRITEPROTECT`.
pub(super) const IOCTL_WRITEPROTECT: Ioctl = request::<WriteProtect>(READ | WRITE, 0x06);
/// `USERFAULTFD_IOC_NEW`, on `/dev/userfaultfd`.
pub(super) const IOCTL_NEW: Ioctl = request::<()>(0, 0x00);
/// How userfaultfds are opened: not inherited, and reads do not block.
pub(super) const OPEN_FLAGS: c_int = libc::O_CLOEXEC | libc::O_NONBLOCK;

#[cfg(test)]
mod tests;
