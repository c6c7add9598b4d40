//! What the kernel says about threads of this process.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// The name of the threads that drive disks.
const DISK: &str = "disk";

/// What a thread did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// How often it went to sleep, and was woken.
    pub(super) sleeps: u64,
    /// CPU time, in user and kernel mode.
    pub(super) cpu: Duration,
}

impl Work {
    /// What was done since `before`; nothing for a thread that has ended, of which the kernel says
    /// nothing any more.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            sleeps: self.sleeps.saturating_sub(before.sleeps),
            cpu: self.cpu.saturating_sub(before.cpu),
        }
    }
}

/// The threads of this process that drive disks.
pub(super) fn disks() -> BTreeSet<String> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let name = |task: &fs::DirEntry| fs::read_to_string(task.path().join("comm"));
    tasks
        .filter(|task| name(task).is_ok_and(|name| name.trim_end() == DISK))
        .filter_map(|task| task.file_name().into_string().ok())
        .collect()
}

/// What a thread did so far; nothing where the kernel does not say.
pub(super) fn work(thread: &str) -> Work {
    let read = |name| fs::read_to_string(format!("/proc/self/task/{thread}/{name}"));
    let status = read("status").unwrap_or_default();
    let sleeps = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    let schedstat = read("schedstat").unwrap_or_default();
    let cpu = schedstat.split_whitespace().next().and_then(|word| word.parse().ok());
    Work {
        sleeps: sleeps.and_then(|number| number.trim().parse().ok()).unwrap_or(0),
        cpu: Duration::from_nanos(cpu.unwrap_or(0)),
    }
}
