//! What happened in a run.

use std::collections::BTreeMap;
use std::time::Duration;

use super::belongings::Belongings;
use super::finding::{Finding, Kind};

/// What happened.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Decisions that were carried out.
    pub decisions: u64,
    /// A checksum over them: two runs with the same one have decided the same.
    pub fingerprint: u32,
    /// Forks.
    pub forks: u64,
    /// For each fork, the transfers that the kernel had and had not finished.
    pub in_flight_at_fork: Vec<usize>,
    /// Forks, snapshots and clones that the rule set refused because of pinned pages.
    pub forks_refused: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Clones of snapshots.
    pub clones: u64,
    /// Guests that lived at the same time, at most, with those that were being ended.
    pub guests_peak: usize,
    /// Guests that were killed with whatever they had in flight.
    pub killed: u64,
    /// Guests that ended their transfers and read their disks back.
    pub retired: u64,
    /// Transfers that guests saw the end of.
    pub transfers: u64,
    /// Bytes that they moved.
    pub bytes: u64,
    /// Requests that children issued again.
    pub reissued: u64,
    /// Frames copied at forks because they were pinned.
    pub early_copies: u64,
    /// Pages evicted.
    pub evictions: u64,
    /// Evictions that were refused because of a pin.
    pub evictions_refused: u64,
    /// Pages evicted that somebody wanted back.
    pub swapped_in: u64,
    /// Pages discarded.
    pub discards: u64,
    /// Discards that were refused because of a pin.
    pub discards_refused: u64,
    /// Sectors that guests read back and compared at their ends.
    pub sectors_read_back: u64,
    /// Sectors of guests and snapshots that the monitor read and compared with guest memory.
    pub sectors_verified: u64,
    /// How often all references were counted.
    pub audits: u64,
    /// Findings by kind.
    pub findings: BTreeMap<&'static str, u64>,
    /// The first finding.
    pub first: Option<Finding>,
    /// How long after its beginning the run knew of it.
    pub found_after: Option<Duration>,
    /// What the process had, in the course of the run.
    pub process: Process,
}

/// What the process had at an early moment at which everybody stood still, and at the last such moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// At the fifth quiet moment. `None` when there were fewer.
    pub early: Option<Belongings>,
    /// At the last quiet moment.
    pub late: Option<Belongings>,
}

impl Report {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Notes something that was found.
    pub(super) fn found(&mut self, finding: Finding) {
        self.count(finding.kind, 1);
        self.first.get_or_insert(finding);
    }

    /// Notes that something was found so many times more.
    pub(super) fn count(&mut self, kind: Kind, times: u64) {
        if times > 0 {
            *self.findings.entry(kind.name()).or_default() += times;
        }
    }
}
