//! This process and its host, as the kernel accounts for them.
//!
//! Nothing here is counted by pincow: it is what pincow's own counts are compared with.

use std::fs;
use std::io;

use serde::Serialize;

mod thread;

pub(crate) use thread::cpu_time;

#[cfg(test)]
mod tests;

/// What this process takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProcessUse {
    /// Resident anonymous memory in bytes: `Anonymous` in proc_pid_smaps(5), which walks the page tables.
    /// (`RssAnon` in proc_pid_status(5) is the same from counters that each CPU keeps for a while.)
    pub anonymous_bytes: u64,
    /// Its proportional share of the memory that it maps, in bytes: `Pss_Anon` and `Pss_Shmem` (Linux 5.4). A page
    /// that n mappings show counts one n-th in each; a page of a memfd that no page table shows yet counts
    /// nowhere. Programs and libraries, which other processes map, too, are left out.
    pub pss_bytes: u64,
    /// The page tables of its mappings, in bytes: `VmPTE`.
    pub page_table_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Open file descriptors.
    pub descriptors: u64,
    /// Memory mappings.
    pub mappings: u64,
}

impl ProcessUse {
    /// Asks the kernel.
    ///
    /// # Errors
    /// When /proc is not there, or does not say.
    pub fn now() -> io::Result<Self> {
        let sums = Figures::read("/proc/self/smaps_rollup")?;
        let status = Figures::read("/proc/self/status")?;
        let descriptors = fs::read_dir("/proc/self/fd")?.count();
        let maps = fs::read("/proc/self/maps")?;
        Ok(Self {
            anonymous_bytes: sums.bytes("Anonymous")?,
            pss_bytes: sums.bytes("Pss_Anon")? + sums.bytes("Pss_Shmem")?,
            page_table_bytes: status.bytes("VmPTE")?,
            threads: status.number("Threads")?,
            // One of them is the listing's own.
            descriptors: descriptors.saturating_sub(1) as u64,
            mappings: maps.iter().filter(|byte| **byte == b'\n').count() as u64,
        })
    }

    /// What was added since `before`; 0 where there is less.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let added = |of: fn(&Self) -> u64| of(self).saturating_sub(of(before));
        Self {
            anonymous_bytes: added(|process| process.anonymous_bytes),
            pss_bytes: added(|process| process.pss_bytes),
            page_table_bytes: added(|process| process.page_table_bytes),
            threads: added(|process| process.threads),
            descriptors: added(|process| process.descriptors),
            mappings: added(|process| process.mappings),
        }
    }
}

/// Memory of the whole host, in which others have their part: proc_meminfo(5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostUse {
    /// What could be given to programs without swapping, in bytes: `MemAvailable`.
    pub available_bytes: u64,
    /// Page tables that KVM keeps for guests, in bytes: `SecPageTables`, which kernels before 6.1 do not have.
    pub kvm_page_table_bytes: Option<u64>,
}

impl HostUse {
    /// Asks the kernel.
    ///
    /// # Errors
    /// When /proc is not there, or does not say.
    pub fn now() -> io::Result<Self> {
        let figures = Figures::read("/proc/meminfo")?;
        Ok(Self {
            available_bytes: figures.bytes("MemAvailable")?,
            kvm_page_table_bytes: figures.bytes("SecPageTables").ok(),
        })
    }
}

/// A file of lines such as `Pss:    238 kB`.
struct Figures {
    path: &'static str,
    text: String,
}

impl Figures {
    fn read(path: &'static str) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"));
        Ok(Self { path, text: fs::read_to_string(path).map_err(named)? })
    }

    fn number(&self, name: &str) -> io::Result<u64> {
        let of = |line: &str| {
            let value = line.strip_prefix(name)?.strip_prefix(':')?;
            value.split_ascii_whitespace().next()?.parse().ok()
        };
        let missing = || io::Error::other(format!("{} has no {name}", self.path));
        self.text.lines().find_map(of).ok_or_else(missing)
    }

    /// A number of kB, which are KiB.
    fn bytes(&self, name: &str) -> io::Result<u64> {
        Ok(self.number(name)? * 1024)
    }
}
