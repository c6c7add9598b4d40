//! What clones cost, by the kernel's own accounting.

use std::fs;
use std::io;

use serde::Serialize;

use crate::guest::Realm;

/// What the clones cost in memory, in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct MemoryUse {
    /// What the clones added: frames, and other memory of this process. KVM's own
    /// structures are not in it.
    pub unique: u64,
    /// Of that, frames.
    pub frames: u64,
    /// Of that, memory of this process: threads, tables, counts.
    pub process: u64,
    /// What they would have cost if each had been given a copy of the first guest's memory.
    pub as_if_copied: u64,
}

/// Memory at one moment.
pub(super) struct Usage {
    frames: u64,
    process: u64,
}

impl Usage {
    pub(super) fn now(realm: &Realm) -> io::Result<Self> {
        let process = anonymous_bytes()?.saturating_sub(realm.anonymous_bytes()?);
        Ok(Self { frames: realm.resident_bytes()?, process })
    }

    pub(super) fn since(&self, before: &Self, clones: u32) -> MemoryUse {
        let frames = self.frames.saturating_sub(before.frames);
        let process = self.process.saturating_sub(before.process);
        let as_if_copied = before.frames * u64::from(clones);
        MemoryUse { unique: frames + process, frames, process, as_if_copied }
    }
}

/// Resident anonymous memory of this process (`RssAnon` in proc_pid_status(5)).
fn anonymous_bytes() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("/proc/self/status has no RssAnon"))
}
