//! What a clone's first writes to many pages take: of its own time, and of all CPUs.
//!
//! The clones are of a snapshot of a guest whose whole table is resident. A clone answers a ping, and then writes
//! one word to each of some pages, scattered or in runs of neighbours, by one command. The time from the
//! command to the answer is the guest's own. The CPU time is that of the clone's vCPU from the command to the
//! answer, and all that the thread takes that makes pages its own beforehand ([`Prefault`](crate::guest::Prefault)): that begins when the
//! clone is made, and is waited for.
//!
//! Clones that are prefaulted are of a snapshot of which three clones before have ended, each of which wrote the same
//! pages, or as many others. A snapshot is used ten times; so those of its clones that are made to learn
//! from, one of 16, are not among the samples.
//!
//! The floor is the kernel's demand copy-on-write: the same commands to the same payload in a bare virtual
//! machine over a fresh `MAP_PRIVATE` mapping of a memfd with the same bytes. On both sides the kernel's
//! page tables tell how many pages were copied, and each page that was written is read back, and so is one beside
//! each that was not.

use std::sync::Arc;
use std::time::Duration;

use pincow_guest_protocol::Command;
use pincow_guest_protocol::map::{PAGE_BYTES, TABLE_FIRST_PAGE};

use super::{BenchError, Guests, WARM_UP, Watch, boot, snapshot_of_idle};
use crate::drive;
use crate::guest::BackingKind;
use crate::kvm::Host;

mod layout;
mod private;
mod way;

pub use layout::Pattern;

use layout::{BEFORE, Layout};
use way::{Moment, Trained, Way};

/// Clones that are measured of a snapshot that has learned, and those that it has learned from.
const PUPILS: usize = 10;
const TEACHERS: usize = 3;

/// What one clone took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// From the call that makes the clone to its answer to the ping.
    pub answer: Duration,
    /// From the command to its answer.
    pub guest: Duration,
    /// Of the CPUs, for the same, with what was prefaulted.
    pub cpu: Duration,
    /// Of these, what was prefaulted.
    pub prefault_cpu: Duration,
    /// Pages that were prefaulted when the command came.
    pub prefaulted: u64,
    /// Pages of the clone that were copied by then.
    pub copied: u64,
}

/// Who copies, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The floor: the kernel at each first write, in a bare virtual machine.
    Kernel,
    /// A clone of pincow.
    Plain,
    /// A clone of a snapshot whose clones wrote the same pages.
    Learned,
    /// The same, which is asked to write when all is prefaulted.
    Ready,
    /// A clone of a snapshot whose clones wrote other pages.
    Wrong,
}

impl Method {
    /// As reports have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Plain => "plain",
            Self::Learned => "learned",
            Self::Ready => "ready",
            Self::Wrong => "wrong",
        }
    }
}

/// What clones took.
#[derive(Clone, Debug)]
pub struct CowTimes {
    /// Sample by sample, the floor first.
    pub methods: Vec<(Method, Vec<Sample>)>,
    /// Pages that were written by each.
    pub pages: u64,
    /// Pages that did not hold what they should, and writes without a copy, in words. Empty when all is well.
    pub violations: Vec<String>,
}

/// Measures `samples` clones, and as many of the floor.
///
/// # Errors
/// When a guest cannot be made, ends, does not answer, or is too small.
pub fn measure(
    host: &Arc<Host>,
    guests: &Guests,
    pattern: Pattern,
    samples: usize,
    watch: Watch<'_>,
) -> Result<CowTimes, BenchError> {
    let layout = Layout::of(pattern, guests.memory_bytes)?;
    watch("writing the first guest's memory", 0, samples);
    let root = boot(host, guests)?;
    let pages = guests.memory_bytes / PAGE_BYTES as u64 - TABLE_FIRST_PAGE;
    let all = Command::Touch { first: TABLE_FIRST_PAGE, pages, stride: 1, value: BEFORE };
    drive::call(&root, 0, all)?;
    let snapshot = snapshot_of_idle(&root)?;
    let mut ways = vec![
        (Method::Kernel, Way::floor(host, &root, &snapshot)?),
        (Method::Plain, Way::Plain(snapshot)),
    ];
    if guests.sharing.backing == BackingKind::HostCow {
        let trained = |method, written| {
            let moment = if method == Method::Ready { Moment::Ready } else { Moment::AtOnce };
            (method, Way::Trained(Trained::new(&root, written), moment))
        };
        ways.extend([
            trained(Method::Learned, layout),
            trained(Method::Ready, layout),
            trained(Method::Wrong, layout.beside()),
        ]);
    }
    let mut times = CowTimes {
        methods: ways.iter().map(|(method, _)| (*method, Vec::new())).collect(),
        pages: layout.pages().count() as u64,
        violations: Vec::new(),
    };
    for round in 0..WARM_UP + samples {
        watch("writing to shared pages", round, WARM_UP + samples);
        // Another one is the first in each round.
        let count = ways.len();
        for at in (0..count).map(|turn| (round + turn) % count) {
            let (method, way) = &mut ways[at];
            let (sample, wrong) = way.write(layout)?;
            let missing = uncounted(sample, times.pages);
            let found = wrong.into_iter().chain(missing);
            times.violations.extend(found.map(|what| format!("{}: {what}", method.name())));
            if round >= WARM_UP {
                times.methods[at].1.push(sample);
            }
        }
    }
    Ok(times)
}

/// Writes that no copy was made for.
fn uncounted(sample: Sample, pages: u64) -> Option<String> {
    let copied = sample.copied;
    let text = || format!("{pages} pages were written, and {copied} were copied");
    (copied < pages).then(text)
}

#[cfg(test)]
mod tests;
