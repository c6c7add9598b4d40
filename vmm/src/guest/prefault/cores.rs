//! Whether a CPU has nothing else to do.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// What the kernel says about threads that want to run, and how many CPUs there are.
pub(super) struct Cores {
    load: Option<File>,
    online: usize,
}

impl Cores {
    pub(super) fn new() -> Self {
        let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
        Self { load: File::open("/proc/loadavg").ok(), online: count(&online).unwrap_or(1) }
    }

    /// Whether this thread, which runs, takes a CPU from no other that wants one, in some microseconds. `false` where
    /// the kernel does not say.
    pub(super) fn has_one_for_this_thread(&self) -> bool {
        let mut text = [0; 64];
        let read = self.load.as_ref().and_then(|load| load.read_at(&mut text, 0).ok());
        let text = read.and_then(|len| str::from_utf8(&text[..len]).ok());
        text.and_then(running).is_some_and(|running| running <= self.online)
    }
}

/// Threads that run or want to, of `/proc/loadavg` (proc_loadavg(5)).
fn running(load: &str) -> Option<usize> {
    load.split_ascii_whitespace().nth(3)?.split_once('/')?.0.parse().ok()
}

/// How many numbers are in a list such as `0-3,8`.
fn count(list: &str) -> Option<usize> {
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        (last + 1).checked_sub(first)
    };
    list.trim().split(',').map(range).sum()
}

#[cfg(test)]
mod tests;
