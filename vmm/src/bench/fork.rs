//! How long a fork of a running guest takes, by the pages that it wrote since the last one.
//!
//! Before each sample the guest writes to so many pages, one after the other or every second one.
//! Then it churns a few pages of its own: it writes and verifies them in its own code, without an exit,
//! and is forked in the middle of that. Its last child is gone by then, so that its writes reuse frames;
//! the rules are asked about all pages at once beforehand, which is not measured and saves the time
//! of as many write faults.
//!
//! Two times are taken: how long the guest stands still ([`ForkTimes::pause`]), and how long it takes
//! from the call until the child's vCPU, which found a request to stop, has answered. Then both go on
//! churning, each with its own salt, are stopped, and every page of both is verified.
//!
//! # What the pause cannot do without
//!
//! Beside each sample, on a private mapping of as much memory with the same pages written and no guest in it:
//! a scan for the private pages, one UFFDIO_WRITEPROTECT over all of them, and one mremap with
//! MREMAP_DONTUNMAP of the whole. A pause of 2 ms and 1.2 times the scan with the cheaper of the two others is
//! what a fork is allowed.
//!
//! # The floor
//!
//! A bare virtual machine over a memfd does the same. For its fork the vCPU is kicked and its state
//! read (eight calls), the memory from the first page to the last one that was written is protected by
//! a single UFFDIO_WRITEPROTECT, and the vCPU goes on: that is the floor of the pause. Then a second
//! bare machine is made over a fresh `MAP_PRIVATE` mapping of the same memfd, in the state that was
//! read, and runs to its first exit. Nobody answers the write faults of the first one meanwhile: the
//! floor keeps no books, and could not be used for more than this.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pincow_guest_protocol::Command;
use pincow_guest_protocol::map::{PAGE_BYTES, TABLE_FIRST_PAGE};
use pincow_mmu::Gfn;

use super::bare::WrittenPages;
use super::{BenchError, Guests, Times, Turn, Watch, boot, turns};
use crate::kvm::Host;

pub use super::bare::Steps;

mod floor;
mod ours;

use floor::Floor;
use ours::Ours;

/// Rounds before those that count: each writes many pages, which takes its time.
const WARM_UP: usize = 1;

/// Pages that each vCPU churns while it is forked. Few, since the child goes over all of them before
/// it answers, and each is new to it.
const CHURN_PAGES: u64 = 8;

/// Where the pages are that are written beforehand, past those of the churn.
const DIRTY_FIRST_PAGE: u64 = TABLE_FIRST_PAGE + 0x400;

/// What a guest writes before it is forked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirt {
    /// How many pages.
    pub pages: u64,
    /// From one to the next: 1, or 2 for every second one.
    pub stride: u64,
}

impl Dirt {
    /// From its first page to the one after its last.
    fn span(&self) -> u64 {
        self.pages * self.stride
    }

    fn end_bytes(&self) -> u64 {
        (DIRTY_FIRST_PAGE + self.span()) * PAGE_BYTES as u64
    }

    fn command(&self, value: u64) -> Command {
        Command::Touch { first: DIRTY_FIRST_PAGE, pages: self.span(), stride: self.stride, value }
    }

    fn gfns(&self) -> impl Iterator<Item = Gfn> {
        let pages =
            (DIRTY_FIRST_PAGE..DIRTY_FIRST_PAGE + self.span()).step_by(self.stride as usize);
        pages.map(|page| Gfn(page as u32))
    }

    /// The least memory in which a guest can write this: a power of two up to 2 GiB, and then multiples of
    /// 256 MiB, of which a guest has no more than 13.
    #[must_use]
    pub fn least_memory_bytes(&self) -> u64 {
        match self.end_bytes() {
            end if end > 2 << 30 => end.next_multiple_of(256 << 20),
            end => end.next_power_of_two(),
        }
    }
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct ForkTimes {
    /// From the call to the child's answer.
    pub answer: Times,
    /// How long the parent stood still.
    pub pause: Vec<Duration>,
    /// The floor of that.
    pub floor_pause: Vec<Duration>,
    /// How long the steps take that a pause cannot do without, on memory in which no guest runs. Empty on
    /// kernels without PAGEMAP_SCAN.
    pub steps: Vec<Steps>,
    /// Samples in which a vCPU was interrupted in its own code.
    pub mid_run: usize,
    /// Pages that did not hold what they should, in words. Empty when all is well.
    pub violations: Vec<String>,
}

/// How many samples are taken: until the time is over, but not fewer or more than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Samples in any case.
    pub least: usize,
    /// Samples if there is time.
    pub most: usize,
    /// For how long new samples are begun.
    pub within: Duration,
}

/// Measures forks of a guest, and as many of the floor.
///
/// # Errors
/// When a guest cannot be made, ends, does not answer, or is too small.
pub fn measure(
    host: &Arc<Host>,
    guests: &Guests,
    dirt: Dirt,
    effort: Effort,
    watch: Watch<'_>,
) -> Result<ForkTimes, BenchError> {
    let (memory_bytes, least) = (guests.memory_bytes, dirt.end_bytes());
    if memory_bytes < least {
        return Err(BenchError::TooSmall { memory_bytes, wanted: dirt.span(), least });
    }
    let root = boot(host, guests)?;
    let mut floor = Floor::new(host, &root, dirt)?;
    let mut ours = Ours::new(root, dirt);
    let bare = WrittenPages::new(memory_bytes as usize, dirt.gfns().map(|gfn| gfn.0.into()))?;
    let mut times = ForkTimes::default();
    let begun = Instant::now();
    for round in 0..WARM_UP + effort.most {
        if round >= WARM_UP + effort.least && begun.elapsed() > effort.within {
            break;
        }
        watch("forking", round, WARM_UP + effort.most);
        for turn in turns(round) {
            match turn {
                Turn::Ours => ours.sample(&mut times)?,
                Turn::Floor => floor.sample(&mut times)?,
            }
        }
        times.steps.extend(bare.sample()?);
        if round + 1 == WARM_UP {
            times = ForkTimes { violations: times.violations, ..ForkTimes::default() };
        }
    }
    Ok(times)
}
