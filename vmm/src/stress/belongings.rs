//! What the process has that could grow.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use serde::Serialize;

/// How long threads that have ended take to leave the process's list, at most.
const SETTLING: Duration = Duration::from_secs(5);

/// What the process has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Belongings {
    /// Its threads, without the kernel's workers for io_uring: those end when they have had nothing to do for five
    /// seconds (`WORKER_IDLE_TIMEOUT` of io_uring/io-wq.c), or with the thread that they work for.
    pub threads: usize,
    /// Its open files, without that of its page tables, which is opened once where the host copies pages.
    pub files: usize,
    /// Its mappings of guest memory and of vCPUs.
    pub mappings: usize,
    /// What it has in memory, in KiB: its own, and each mapping of a frame of a guest.
    pub resident_kib: u64,
}

/// What such workers are called (`io_wq_worker` of io_uring/io-wq.c).
const WORKER: &str = "iou-wrk-";
const PAGE_TABLES: &str = "pagemap";

/// The entries of a folder that are `ours`. What has gone by the time that it is looked at is not.
fn count(folder: &str, ours: impl Fn(&Path) -> io::Result<bool>) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries.flatten().filter(|entry| ours(&entry.path()).unwrap_or(false)).count()
}

fn is_thread_of_ours(task: &Path) -> io::Result<bool> {
    Ok(!fs::read_to_string(task.join("comm"))?.starts_with(WORKER))
}

fn is_file_of_a_run(descriptor: &Path) -> io::Result<bool> {
    Ok(!fs::read_link(descriptor)?.ends_with(PAGE_TABLES))
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
            threads: count("/proc/self/task", is_thread_of_ours),
            files: count("/proc/self/fd", is_file_of_a_run),
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
