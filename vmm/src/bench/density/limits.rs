//! What a process may have, looked at before it takes a thousand of everything.

#![expect(unsafe_code, reason = "getrlimit, setrlimit and malloc_trim are raw calls")]

use std::fs;

use pincow_mmu::host::HostFeatures;

use super::BenchError;
use crate::process::{HostUse, ProcessUse};

/// What is left to others: descriptors, mappings and threads of whatever else the process does.
const SPARE: u64 = 64;

/// The part of the available memory that is left alone: one of so many.
const SPARE_MEMORY: u64 = 8;

/// What one guest takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) descriptors: u64,
    pub(super) mappings: u64,
    pub(super) threads: u64,
    pub(super) memory_bytes: u64,
}

impl Need {
    /// The larger of both, thing by thing.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            descriptors: self.descriptors.max(other.descriptors),
            mappings: self.mappings.max(other.mappings),
            threads: self.threads.max(other.threads),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
        }
    }
}

/// One thing of which a process has only so much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) what: &'static str,
    pub(super) free: u64,
    pub(super) each: u64,
    pub(super) advice: &'static str,
}

impl Room {
    fn fits(&self) -> u64 {
        self.free.checked_div(self.each).unwrap_or(u64::MAX)
    }
}

/// What this process may have more of, beside what a guest needs.
pub(super) fn rooms(need: Need) -> Result<[Room; 4], BenchError> {
    let now = ProcessUse::now().map_err(BenchError::Accounting)?;
    let available = HostUse::now().map_err(BenchError::Accounting)?.available_bytes;
    let max_map_count = HostFeatures::probe().max_map_count as u64;
    let left = |limit: u64, used: u64| limit.saturating_sub(used + SPARE);
    Ok([
        Room {
            what: "file descriptors",
            free: left(raise_descriptors(), now.descriptors),
            each: need.descriptors,
            advice: "raise the hard limit of open files (ulimit -Hn)",
        },
        Room {
            what: "memory mappings",
            free: left(max_map_count, now.mappings),
            each: need.mappings,
            advice: "raise the limit (sysctl -w vm.max_map_count=1048576)",
        },
        Room {
            what: "threads",
            free: free_threads().saturating_sub(SPARE),
            each: need.threads,
            advice: "raise the limits of threads (ulimit -u, kernel.threads-max, kernel.pid_max, and \
                     pids.max of the control group)",
        },
        Room {
            what: "bytes of memory",
            free: available - available / SPARE_MEMORY,
            each: need.memory_bytes,
            advice: "give the host more memory",
        },
    ])
}

/// Refuses when there is no room for `guests`, with the number for which there is.
pub(super) fn check(guests: usize, rooms: &[Room]) -> Result<(), BenchError> {
    let Some(least) = rooms.iter().min_by_key(|room| room.fits()) else { return Ok(()) };
    let (wanted, fits) = (guests as u64, least.fits());
    if wanted <= fits {
        return Ok(());
    }
    let &Room { what, free, each, advice } = least;
    Err(BenchError::NoRoom { guests, what, needed: wanted * each, free, fits, advice })
}

/// Raises the limit of open files as far as this process may. What it is then.
fn raise_descriptors() -> u64 {
    raise(libc::RLIMIT_NOFILE)
}

/// Threads that may be added: by the host's limits, the user's, and the control group's.
fn free_threads() -> u64 {
    let of_host = number("/proc/sys/kernel/threads-max").min(number("/proc/sys/kernel/pid_max"));
    // `0.30 0.25 0.20 2/345 6789`: 345 threads on the host (proc_loadavg(5)).
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let threads = load.split([' ', '/']).nth(4).and_then(|text| text.parse().ok()).unwrap_or(0);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").to_owned();
    let in_group = |file: &str| format!("/sys/fs/cgroup{}/{file}", group.trim_end_matches('/'));
    let used = match number(&in_group("pids.current")) {
        u64::MAX => 0,
        used => used,
    };
    let of_group = number(&in_group("pids.max")).saturating_sub(used);
    of_host.saturating_sub(threads).min(of_group).min(raise(libc::RLIMIT_NPROC))
}

/// The number in a file; no limit where there is none.
fn number(path: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.trim().parse().unwrap_or(u64::MAX)
}

/// Raises a limit to the most that this process may have. What it is then.
fn raise(resource: libc::__rlimit_resource_t) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one rlimit, which lives across the call.
    if unsafe { libc::getrlimit(resource, &raw mut limit) } != 0 {
        return u64::MAX;
    }
    if limit.rlim_cur < limit.rlim_max {
        let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
        // SAFETY: the kernel reads one rlimit, which lives across the call.
        if unsafe { libc::setrlimit(resource, &raw const raised) } == 0 {
            limit = raised;
        }
    }
    limit.rlim_cur
}

/// Has the allocator give back what it keeps for later, so that what is allocated next is seen.
pub(super) fn trim_heap() {
    // SAFETY: has no preconditions; it gives back pages that no allocation is in.
    let _ = unsafe { libc::malloc_trim(0) };
}
