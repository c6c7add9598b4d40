//! What the process has that could grow.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

/// How long threads that have ended take to leave the process's list, at most.
const SETTLING: Duration = Duration::from_secs(5);

/// What the process has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Belongings {
    /// Its threads.
    pub threads: usize,
    /// Its open files.
    pub files: usize,
    /// Its mappings of guest memory and of vCPUs.
    pub mappings: usize,
    /// What it has in memory, in KiB: its own, and each mapping of a frame of a guest.
    pub resident_kib: u64,
}

fn count(folder: &str) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

impl Belongings {
    /// What it has now. What the system does not tell is 0.
    #[must_use]
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let of_guests = |line: &str| line.contains("memfd:pincow") || line.contains("kvm-vcpu");
        let resident = status.lines().find_map(|line| {
            line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok()
        });
        Self {
            threads: count("/proc/self/task"),
            files: count("/proc/self/fd"),
            mappings: maps.lines().filter(|line| of_guests(line)).count(),
            resident_kib: resident.unwrap_or(0),
        }
    }

    /// What is more now than `before`, once the threads that have ended are gone. Says nothing where others of the
    /// process are at work: then it waits for them in vain, for five seconds.
    #[must_use]
    pub fn left_since(before: Self) -> Self {
        let deadline = Instant::now() + SETTLING;
        loop {
            let left = Self::now().beyond(before);
            if (left.threads, left.files) == (0, 0) || Instant::now() > deadline {
                return left;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn beyond(self, before: Self) -> Self {
        Self {
            threads: self.threads.saturating_sub(before.threads),
            files: self.files.saturating_sub(before.files),
            mappings: self.mappings.saturating_sub(before.mappings),
            resident_kib: self.resident_kib.saturating_sub(before.resident_kib),
        }
    }
}
