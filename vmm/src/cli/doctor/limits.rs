//! How much of everything this host gives to one process, and how many guests that makes.

use std::fs;

use pincow_mmu::host::HostFeatures;
use serde::Serialize;

#[cfg(test)]
mod tests;

/// The least that a guest of one vCPU reserves, 9 for its window and 6 for its machine; and what a window
/// takes whose pages were torn apart by random writes to half of 64 MiB (measured).
const MAPPINGS_FRESH: usize = 15;
const MAPPINGS_TORN: usize = 8214;

/// Descriptors of a guest with one vCPU: the machine, the vCPU and a layer of memory. Counted: 912
/// in a demo with 300 clones.
const FILES_A_GUEST: u64 = 3;

/// The limits of this process, and roughly how many guests of 64 MiB fit into each.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Limits {
    /// Mappings that a process may have.
    pub(super) max_map_count: usize,
    /// Guests while most of their memory is still in large pieces.
    pub(super) guests_by_mappings: usize,
    /// Guests after random writes everywhere; beyond it, whole blocks are copied to save mappings.
    pub(super) guests_by_mappings_torn: usize,
    /// File descriptors that this process may have; none is no limit.
    pub(super) open_files: Option<u64>,
    /// Guests by them.
    pub(super) guests_by_open_files: Option<u64>,
    /// Threads that this host may have. Each vCPU takes one, and newer kernels one for each guest
    /// (`kvm-nx-lpage-recovery`).
    pub(super) threads: Option<u64>,
    /// Memory of the host.
    pub(super) memory_bytes: u64,
    /// What of it can be had now.
    pub(super) available_bytes: u64,
    /// What memfds get when they do not ask for huge pages.
    pub(super) shmem_huge_pages: String,
    /// ... and what pincow does about it.
    pub(super) shmem_huge_pages_effect: &'static str,
}

impl Limits {
    /// Reads them.
    pub(super) fn of(host: &HostFeatures) -> Self {
        let free = host.max_map_count.saturating_sub(host.mappings_in_use);
        let open_files = open_files(&read("/proc/self/limits"));
        let effect = match host.shmem_huge_pages.as_str() {
            "never" | "advise" | "deny" | "" => "frames cost 4 KiB each",
            _ => "pincow refuses them mapping by mapping, since a frame would cost 2 MiB",
        };
        Self {
            max_map_count: host.max_map_count,
            guests_by_mappings: free / MAPPINGS_FRESH,
            guests_by_mappings_torn: free / MAPPINGS_TORN,
            open_files,
            guests_by_open_files: open_files.map(|files| files / FILES_A_GUEST),
            threads: read("/proc/sys/kernel/threads-max").trim().parse().ok(),
            memory_bytes: host.total_memory_bytes,
            available_bytes: available_bytes(&read("/proc/meminfo")),
            shmem_huge_pages: host.shmem_huge_pages.clone(),
            shmem_huge_pages_effect: effect,
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The soft limit in a line such as `Max open files            1024                 524288   files`.
fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The number in a line such as `MemAvailable:    5432100 kB`.
fn available_bytes(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
