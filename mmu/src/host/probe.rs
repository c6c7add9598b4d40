//! What this host offers, asked before anything is built on it.

#![expect(unsafe_code, reason = "probing asks the kernel by raw system calls")]

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;

use serde::Serialize;

use super::options::BackingKind;
use super::uffd::Uffd;
use super::uffd_open::{self, UffdOpenError, UffdSource};
use super::{budget, pagemap as tables, store, uffd_sys as sys};

/// The mechanisms that this host has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostFeatures {
    /// Kernel release, as `uname -r` prints it.
    pub kernel: String,
    /// Where userfaultfds come from; `None` when none is to be had.
    pub userfaultfd: Option<UffdSource>,
    /// Why none is to be had, and what to do.
    pub userfaultfd_refused: Option<String>,
    /// Shared memory can be write-protected (Linux 5.19).
    pub wp_shmem: bool,
    /// Absent pages of shared memory can be waited for (Linux 4.11).
    pub missing_shmem: bool,
    /// Present pages that a page table lacks can be waited for (Linux 5.14).
    pub minor_shmem: bool,
    /// Anonymous pages can be write-protected before they exist (Linux 6.4).
    pub wp_unpopulated: bool,
    /// Pages can be made to fail on access (Linux 6.6).
    pub poison: bool,
    /// Page tables can be scanned by one request (Linux 6.7).
    pub pagemap_scan: bool,
    /// Advice can be given for many ranges at once (Linux 5.10).
    pub process_madvise: bool,
    /// Pages can be made as a write would make them, without one (Linux 5.14).
    pub populate_write: bool,
    /// Private memory may be mapped beyond what the host has (`vm.overcommit_memory` is not 2:
    /// Documentation/mm/overcommit-accounting.rst).
    pub overcommit: bool,
    /// Memfds can be made never executable (Linux 6.3).
    pub memfd_noexec_seal: bool,
    /// Mappings that a process may have (`vm.max_map_count`).
    pub max_map_count: usize,
    /// Mappings that this process has now.
    pub mappings_in_use: usize,
    /// Huge pages for memfds (`/sys/kernel/mm/transparent_hugepage/shmem_enabled`); anything but
    /// `never`, `advise` and `deny` makes frames cost more memory than their 4 KiB.
    pub shmem_huge_pages: String,
    /// Memory of the host, in bytes.
    pub total_memory_bytes: u64,
}

/// A backing cannot run on this host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MissingFeature {
    /// No userfaultfd: the text says why and what to do.
    #[error("{0}")]
    Userfaultfd(String),
    /// The page tables of this process cannot be read: the text says why.
    #[error("/proc/self/pagemap: {0}: mount /proc, on a kernel with CONFIG_PROC_PAGE_MONITOR")]
    Pagemap(String),
    /// Memory is promised strictly (`vm.overcommit_memory` is 2).
    #[error(
        "vm.overcommit_memory is 2, so that the kernel may refuse, within a fork, to share what a guest has \
         written: set it to 0 or 1, or use `--backing trap`"
    )]
    Overcommit,
    /// The kernel is too old, or was built without it.
    #[error("kernel {kernel} lacks {feature}, which Linux {since} and later have")]
    Kernel {
        /// What is missing.
        feature: &'static str,
        /// The first version that has it.
        since: &'static str,
        /// The release that is running.
        kernel: String,
    },
}

impl HostFeatures {
    /// Asks the kernel. Changes nothing; takes well under a millisecond.
    #[must_use]
    pub fn probe() -> Self {
        let (source, refused, features) = match userfaultfd() {
            Ok((source, features)) => (Some(source), None, features),
            Err(error) => (None, Some(error.to_string()), 0),
        };
        let has = |feature: u64| features & feature != 0;
        Self {
            kernel: line("/proc/sys/kernel/osrelease"),
            userfaultfd: source,
            userfaultfd_refused: refused,
            wp_shmem: has(sys::FEATURE_PAGEFAULT_FLAG_WP) && has(sys::FEATURE_WP_HUGETLBFS_SHMEM),
            missing_shmem: has(sys::FEATURE_MISSING_SHMEM),
            minor_shmem: has(sys::FEATURE_MINOR_SHMEM),
            wp_unpopulated: has(sys::FEATURE_WP_UNPOPULATED),
            poison: has(sys::FEATURE_POISON),
            pagemap_scan: pagemap_scan(),
            process_madvise: process_madvise(),
            populate_write: populate_write(),
            overcommit: line("/proc/sys/vm/overcommit_memory") != "2",
            memfd_noexec_seal: store::knows_noexec_seal(),
            max_map_count: budget::max_map_count(),
            mappings_in_use: budget::mappings_in_use(),
            shmem_huge_pages: shmem_huge_pages(),
            total_memory_bytes: total_memory_bytes(),
        }
    }

    /// Whether a backing can run here.
    ///
    /// # Errors
    ///
    /// The first thing that it needs and this host lacks.
    pub fn require(&self, backing: BackingKind) -> Result<(), MissingFeature> {
        match backing {
            BackingKind::Trap => self.require_trap(),
            BackingKind::HostCow => self.require_host_cow(),
        }
    }

    /// Whether the `trap` backing can run here.
    ///
    /// # Errors
    ///
    /// The first thing that it needs and this host lacks.
    pub fn require_trap(&self) -> Result<(), MissingFeature> {
        if let Some(refused) = &self.userfaultfd_refused {
            return Err(MissingFeature::Userfaultfd(refused.clone()));
        }
        let needed = [
            (self.missing_shmem, "userfaultfd for absent shared memory", "4.11"),
            (self.wp_shmem, "userfaultfd write protection of shared memory", "5.19"),
        ];
        for (there, feature, since) in needed {
            if !there {
                let kernel = self.kernel.clone();
                return Err(MissingFeature::Kernel { feature, since, kernel });
            }
        }
        Ok(())
    }

    /// Whether the `hostcow` backing can run here.
    ///
    /// # Errors
    ///
    /// The first thing that it needs and this host lacks.
    pub fn require_host_cow(&self) -> Result<(), MissingFeature> {
        let kernel = || self.kernel.clone();
        if !self.populate_write {
            let feature = "MADV_POPULATE_WRITE";
            return Err(MissingFeature::Kernel { feature, since: "5.14", kernel: kernel() });
        }
        if !self.overcommit {
            return Err(MissingFeature::Overcommit);
        }
        tables::open().map(drop).map_err(|error| MissingFeature::Pagemap(error.to_string()))
    }

    /// Whether forks under `hostcow` may return before they have copied all that their guest wrote.
    ///
    /// # Errors
    ///
    /// The first thing that this needs and this host lacks. Forks copy before they return then.
    pub fn require_background_copies(&self) -> Result<(), MissingFeature> {
        self.require_trap()?;
        if !self.wp_unpopulated {
            let feature = "userfaultfd write protection of pages that are not there yet";
            let kernel = self.kernel.clone();
            return Err(MissingFeature::Kernel { feature, since: "6.4", kernel });
        }
        Ok(())
    }

    /// Whether memfds may get huge pages without being asked to.
    #[must_use]
    pub(super) fn huge_pages_unasked(&self) -> bool {
        !matches!(self.shmem_huge_pages.as_str(), "never" | "advise" | "deny" | "")
    }
}

fn userfaultfd() -> Result<(UffdSource, u64), UffdOpenError> {
    let (fd, source) = uffd_open::open()?;
    let (_uffd, features) = Uffd::handshake(fd, 0).map_err(UffdOpenError::Failed)?;
    Ok((source, features))
}

/// Scans an empty range: kernels without the request say ENOTTY.
fn pagemap_scan() -> bool {
    // `struct pm_scan_arg`: twelve words of 8 bytes, the first is its size.
    let mut argument = [0_u64; 12];
    argument[0] = size_of_val(&argument) as u64;
    let Ok(pagemap) = File::open("/proc/self/pagemap") else { return false };
    // SAFETY: the argument has the size that the request's number says; it asks for no output.
    let result =
        unsafe { libc::ioctl(pagemap.as_raw_fd(), tables::PAGEMAP_SCAN, argument.as_mut_ptr()) };
    result >= 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ENOTTY)
}

/// Names a process that cannot be: kernels with the call say EBADF, others ENOSYS.
fn process_madvise() -> bool {
    let nothing = std::ptr::null::<libc::iovec>();
    // SAFETY: no vector is passed, and the descriptor is refused before anything is advised.
    let result =
        unsafe { libc::syscall(libc::SYS_process_madvise, -1, nothing, 0, libc::MADV_COLD, 0) };
    result >= 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS)
}

/// Advises about nothing: kernels without the advice say EINVAL.
fn populate_write() -> bool {
    // SAFETY: no page is named.
    unsafe { libc::madvise(std::ptr::null_mut(), 0, libc::MADV_POPULATE_WRITE) == 0 }
}

fn line(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| String::new(), |text| text.trim().to_owned())
}

/// The word in brackets of `always within_size advise [never] deny force`.
fn shmem_huge_pages() -> String {
    let choices = line("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
    let chosen = choices.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    chosen.map_or_else(String::new, |(word, _)| word.to_owned())
}

fn total_memory_bytes() -> u64 {
    let meminfo = line("/proc/meminfo");
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests;
