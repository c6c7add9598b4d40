//! What is answered.

use std::fmt;
use std::time::Duration;

use pincow_mmu::live::Footprint;
use pincow_mmu::stats::Counts;
use serde::{Deserialize, Serialize};

use crate::guest::Cut;
use crate::machine::{GenerationId, Stopped};
use crate::virtio::balloon::{BalloonCounts, Size};
use crate::virtio::blk::BlkCounts;
use crate::virtio::net::NetCounts;
use crate::virtio::rng::RngCounts;

/// What a [request](super::Request) is answered with when it was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "kebab-case")]
pub enum Response {
    /// The guests and snapshots of the process.
    Process(Process),
    /// What a guest does now.
    State {
        /// Which.
        id: u32,
        /// What it does.
        #[serde(flatten)]
        state: GuestState,
    },
    /// A guest or snapshot was made.
    Made(Made),
    /// A guest ends or has ended, or a snapshot is forgotten.
    Stopping(Stopping),
    /// From here on, the connection is one to the guest's vsock device.
    Connected {
        /// Which guest.
        id: u32,
    },
    /// The balloon of a guest.
    Balloon {
        /// Which.
        id: u32,
        /// Its balloon, now.
        balloon: BalloonStats,
    },
    /// What a guest did so far.
    Stats(Box<GuestStats>),
}

/// The guests and snapshots of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number, as it sees itself.
    pub pid: u32,
    /// Bytes of host memory that the frames of all guests and snapshots take together, as the kernel counts the
    /// blocks of their files and what it copied.
    pub resident_bytes: u64,
    /// What the process takes, by pincow's counts and by the kernel's, where the kernel tells.
    pub memory: Option<ProcessMemory>,
    /// The guests, those that have ended too.
    pub guests: Vec<GuestInfo>,
    /// The snapshots.
    pub snapshots: Vec<SnapshotInfo>,
}

/// What a guest does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum GuestState {
    /// It runs.
    Running,
    /// It stands still until it is resumed.
    Paused,
    /// It has ended.
    Ended(Stopped),
}

impl fmt::Display for GuestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Paused => f.write_str("paused"),
            Self::Ended(reason) => write!(f, "ended: {reason}"),
        }
    }
}

/// A guest in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestInfo {
    /// Its number.
    pub id: u32,
    /// The guest or snapshot that it is a copy of.
    pub parent: Option<u32>,
    /// What it does.
    #[serde(flatten)]
    pub state: GuestState,
    /// How many vCPUs it has.
    pub vcpus: u32,
    /// Its memory in bytes, as it sees it.
    pub memory_bytes: u64,
    /// What its operating system tells it by from other copies, where it has a PC.
    pub generation_id: Option<GenerationId>,
    /// When it was made, in milliseconds since 1970.
    pub started_unix_ms: u64,
    /// How long it has lived, in milliseconds; pauses count.
    pub age_ms: u64,
    /// What its memory is made of. A guest that has ended has none.
    pub frames: Option<Frames>,
    /// What its memory takes of the host. A guest that has ended has none.
    pub memory: Option<GuestMemory>,
}

/// What the memory of a guest takes of the host, in bytes: frames that the host has given no memory yet take none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestMemory {
    /// No other guest and no snapshot has a part in it.
    pub unique_bytes: u64,
    /// Others have: guests and snapshots.
    pub shared_bytes: u64,
    /// Of both, what transfers in flight hold.
    pub pinned_bytes: u64,
}

impl From<Footprint> for GuestMemory {
    fn from(footprint: Footprint) -> Self {
        let Footprint { unique_bytes, shared_bytes, pinned_bytes } = footprint;
        Self { unique_bytes, shared_bytes, pinned_bytes }
    }
}

/// What a process takes, in bytes. The first two are pincow's, by the counts of frames; the rest is the kernel's. The
/// sum of the first three is what `kernel_bytes` says, but for what guests do while both are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessMemory {
    /// What all guests have to themselves.
    pub unique_bytes: u64,
    /// All other frames, each once: of several guests, of snapshots, of transfers whose guest has ended.
    pub shared_bytes: u64,
    /// Anonymous memory of the process that is no frame: stacks, heap.
    pub other_bytes: u64,
    /// Blocks of the files that frames are in, and all anonymous memory of the process.
    pub kernel_bytes: u64,
    /// The process' proportional share of the anonymous and shared memory that it maps (proc_pid_smaps(5)): frames
    /// that no page table shows yet are not in it.
    pub pss_bytes: u64,
}

/// What the memory of a guest is made of, in frames of 4 KiB, whether the host has given them memory yet or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frames {
    /// Others hold them too: guests, snapshots, or a transfer in flight.
    pub shared: u64,
    /// Only this guest holds them.
    pub unique: u64,
    /// Transfers in flight hold them.
    pub pinned: u64,
    /// In the swap.
    pub swapped: u64,
}

/// A snapshot in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// Its number.
    pub id: u32,
    /// The guest that it is of.
    pub of: u32,
    /// When it was taken, in milliseconds since 1970.
    pub taken_unix_ms: u64,
    /// How many guests were made of it.
    pub clones: u32,
}

/// A guest or snapshot that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Its number.
    pub id: u32,
    /// What it was made of.
    pub parent: u32,
    /// Whether it is a guest that stands still.
    pub paused: bool,
    /// How long the parent stood still, in microseconds; 0 where the parent is a snapshot.
    pub pause_us: u64,
    /// Transfers of its disks that the kernel had and had not finished at that moment.
    pub transfers_in_flight: usize,
    /// Requests to its disks that were taken and not answered at that moment.
    pub requests_in_flight: usize,
}

impl Made {
    pub(super) fn by(cut: &Cut, id: u32, parent: u32, paused: bool) -> Self {
        let &Cut { pause, transfers_in_flight, requests_in_flight, .. } = cut;
        let pause_us = micros(pause);
        Self { id, parent, paused, pause_us, transfers_in_flight, requests_in_flight }
    }

    pub(super) fn of_snapshot(id: u32, parent: u32) -> Self {
        let (pause_us, transfers_in_flight, requests_in_flight) = (0, 0, 0);
        Self { id, parent, paused: false, pause_us, transfers_in_flight, requests_in_flight }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// How a guest ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It was ended in the middle of whatever it did.
    Killed,
    /// It was over before.
    WasOver,
    /// It was told to end: the embedded guest by a command, with exit code 0; a Linux guest by its agent, which
    /// has run `poweroff`.
    Told,
    /// A snapshot: nobody can make guests of it any more.
    Forgotten,
}

/// A guest ends or has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopping {
    /// Which.
    pub id: u32,
    /// What was done.
    pub how: How,
    /// Transfers of its disks that the kernel had and had not finished when its vCPUs had stopped. Those that
    /// write a disk of this guest's go on until the kernel is done with them.
    pub transfers_in_flight: usize,
    /// Why it has ended, if it has.
    pub ended: Option<Stopped>,
}

/// What a guest and its devices did so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestStats {
    /// The guest.
    pub guest: GuestInfo,
    /// Its disks.
    pub disks: Vec<DiskStats>,
    /// Its network cards.
    pub nets: Vec<NetCounts>,
    /// Its source of random bytes, if it has one.
    pub rng: Option<RngCounts>,
    /// Its balloon, if it has one.
    pub balloon: Option<BalloonStats>,
    /// What happened to the frames of the guest and of all its relatives.
    pub family: Counts,
}

/// A balloon, and what it did so far, for this guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalloonStats {
    /// How much it is to hold, in bytes.
    pub target_bytes: u64,
    /// How much it holds by what the guest says, in bytes.
    pub actual_bytes: u64,
    /// Counts since the guest was made.
    pub counts: BalloonCounts,
}

impl BalloonStats {
    pub(super) fn of((size, counts): (Size, BalloonCounts)) -> Self {
        let bytes = |pages: u32| u64::from(pages) << 12;
        Self { target_bytes: bytes(size.target), actual_bytes: bytes(size.actual), counts }
    }
}

/// What a disk did so far, for this guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskStats {
    /// Transfers that the kernel has and has not finished.
    pub transfers_in_flight: usize,
    /// Requests that were taken and not answered.
    pub requests_in_flight: usize,
    /// Counts since the guest was made.
    pub counts: BlkCounts,
}
