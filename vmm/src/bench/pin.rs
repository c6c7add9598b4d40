//! What it costs to pin a frame of guest memory for a transfer, and to let it go again.
//!
//! The frame is exclusively its guest's, as nearly every frame is that a device transfers to: the
//! pin breaks no copy-on-write. No guest runs; the threads here do what the threads of disks do.
//!
//! The floor is an atomic addition and a subtraction on a word of the thread's own (on the same
//! word, where the threads pin the same frame): what no count can do without.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::guest::Sharing;
use pincow_mmu::host::{HostMemory, MemoryOptions};
use pincow_mmu::live::{self, LiveSpace};
use pincow_mmu::{AddressSpace, Family, FromDevice, Gfn, PAGE_SIZE, PinRequest};

use super::{BenchError, Turn, WARM_UP, Watch, turns};

mod threads;

use threads::{overlap, side_by_side};

/// Who pins what at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contention {
    /// One thread.
    Alone,
    /// Two threads, each for a guest of its own; the guests are of one family.
    TwoGuests,
    /// Two threads for one guest, each a frame of its own.
    OneGuest,
    /// Two threads for one guest and the same frame.
    OneFrame,
}

impl Contention {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Alone, Self::TwoGuests, Self::OneGuest, Self::OneFrame];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::TwoGuests => "two-guests",
            Self::OneGuest => "one-guest",
            Self::OneFrame => "one-frame",
        }
    }

    /// How many threads pin.
    #[must_use]
    pub fn threads(self) -> usize {
        if self == Self::Alone { 1 } else { 2 }
    }
}

/// Nanoseconds that a pin and its end take a thread, sample by sample: each the mean of many, and of
/// the threads.
#[derive(Clone, Debug, Default)]
pub struct PinTimes {
    /// pincow.
    pub pin: Vec<f64>,
    /// The atomic operations.
    pub floor: Vec<f64>,
    /// What was not as it should be, in words. Empty when all is well.
    pub violations: Vec<String>,
}

/// Pins in a sample, of each thread: few, so that threads that begin together mostly run side by side
/// to the end of it, on a machine that has other things to do too.
const PINS: u32 = 1000;

/// How often threads are made to run until they do so side by side.
const TRIES: usize = 50;

/// Memory of the guests.
const PAGES: u32 = 4096;

/// From the frame of one thread to that of the other: their counts are in different cache lines.
const STRIDE: u32 = 1024;

/// A word in a cache line of its own, and in the one beside that the CPU fetches along.
#[derive(Default)]
#[repr(align(128))]
struct Word(AtomicU64);

/// What one thread pins.
struct Place<'a> {
    space: Arc<LiveSpace>,
    gfn: Gfn,
    word: &'a Word,
}

/// Measures `samples` times many pins and as many of the floor.
///
/// # Errors
/// When the memory cannot be made, or refuses a pin.
pub fn measure(
    sharing: Sharing,
    contention: Contention,
    samples: usize,
    watch: Watch<'_>,
) -> Result<PinTimes, BenchError> {
    let options = MemoryOptions { backing: sharing.backing.into(), ..MemoryOptions::default() };
    let memory = HostMemory::new(PAGES, options)?;
    let family = Family::new(Arc::new(memory), sharing.rules, PAGES);
    let spaces = spaces(&family, contention)?;
    let words = [Word::default(), Word::default()];
    let place = |thread: usize| {
        let shared = contention == Contention::OneFrame;
        let own = if shared { 0 } else { thread };
        let space = Arc::clone(&spaces[thread % spaces.len()]);
        Place { space, gfn: Gfn(own as u32 * STRIDE), word: &words[own] }
    };
    let places: Vec<_> = (0..contention.threads()).map(place).collect();
    let mut times = PinTimes::default();
    for round in 0..WARM_UP + samples {
        watch("pinning", round, WARM_UP + samples);
        for turn in turns(round) {
            match turn {
                Turn::Ours => times.pin.push(mean(&places, pin)?),
                Turn::Floor => times.floor.push(mean(&places, count)?),
            }
        }
    }
    times.pin.drain(..WARM_UP);
    times.floor.drain(..WARM_UP);
    times.violations.extend(family.audit([]).err().map(|miscount| miscount.to_string()));
    Ok(times)
}

/// The guests, each of which has its frames to itself.
fn spaces(
    family: &Arc<Family<HostMemory>>,
    contention: Contention,
) -> Result<Vec<Arc<LiveSpace>>, BenchError> {
    let root = AddressSpace::root(family)?;
    live::attach(&root);
    if contention != Contention::TwoGuests {
        return Ok(vec![root]);
    }
    let child = root.fork()?;
    live::attach(&child);
    let spaces = vec![root, child];
    for (space, thread) in spaces.iter().zip(0..) {
        space.fault(Gfn(thread * STRIDE), true)?;
    }
    Ok(spaces)
}

/// Has each thread do `work` many times, side by side; the mean time of one.
fn mean(
    places: &[Place<'_>],
    work: impl Fn(&Place<'_>) -> Result<(), BenchError> + Copy + Sync,
) -> Result<f64, BenchError> {
    let mut spans = side_by_side(places, PINS, work)?;
    for _ in 1..TRIES {
        if overlap(&spans) {
            break;
        }
        spans = side_by_side(places, PINS, work)?;
    }
    let times = spans.iter().map(|(begun, ended)| (*ended - *begun).as_secs_f64());
    Ok(times.sum::<f64>() / spans.len() as f64 * 1e9 / f64::from(PINS))
}

fn pin(place: &Place<'_>) -> Result<(), BenchError> {
    drop(black_box(place.space.pin::<FromDevice>(place.gfn, PinRequest::TRANSFER)?));
    Ok(())
}

fn count(place: &Place<'_>) -> Result<(), BenchError> {
    black_box(&place.word.0).fetch_add(1, Ordering::Relaxed);
    black_box(&place.word.0).fetch_sub(1, Ordering::Release);
    Ok(())
}

const _: () = assert!(STRIDE < PAGES && STRIDE as usize * 8 > PAGE_SIZE);
