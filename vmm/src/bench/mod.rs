//! Measuring clones, forks and write faults, each beside a floor that is taken in the same run.
//!
//! The floor (`bare`) is a virtual machine made of the bare KVM calls, with the same memory size, the
//! same number of vCPUs, the same payload and the same state: what no monitor can do without. Its
//! memory is a memfd that is there before the clock starts, mapped in one piece. Samples of pincow
//! and of the floor take turns, and who is first changes with every turn, so that a host that gets
//! slower or faster meanwhile does so for both. Setting up and tearing down is not measured. A guest
//! that ends is an error, never a sample left out.
//!
//! | module | what is measured |
//! | --- | --- |
//! | [`boot`](mod@boot) | from the call to the first answer of a new guest's own vCPU |
//! | [`clone`] | from the call to the first answer of a clone's own vCPU |
//! | [`fork`] | the same for a fork of a guest that runs, and how long that guest stands still |
//! | [`fork_io`] | the same while disk transfers are in flight, on fast and slow disks |
//! | [`density`] | what idle clones take, many of which are alive at once |
//! | [`fault`] | a guest's first write to a page that it shares, or shared |
//! | [`cow`] | a clone's first writes to many pages, and what they take of the CPUs |
//! | [`blk`] | disk transfers of a guest, beside the same by a bare loop on the host |
//! | [`pin`] | a pin of a frame for a transfer, and its end |
//!
//! # What the floor leaves out
//!
//! The floor's clock stops at the first exit of the new vCPU, in the thread that runs it. The guest's
//! *answer*, at which pincow's clock stops, is some exits, one write fault on the stack and a hand-over
//! to the waiting thread later. So that both can be compared like with like too, the floor's own
//! answer is timed as well ([`Times::floor_answer`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use pincow_guest_protocol::Command;

use crate::devices::serial::nowhere;
use crate::drive;
use crate::guest::{Guest, GuestConfig, Sharing, Snapshot};
use crate::kvm::Host;
use crate::machine::ParkedAt;
use crate::payload::PAYLOAD;

mod bare;
pub mod blk;
pub mod boot;
pub mod clone;
pub mod cow;
pub mod density;
mod disk;
mod error;
pub mod fault;
pub mod fork;
pub mod fork_io;
mod load;
pub mod pin;
#[cfg(test)]
mod tests;

pub use error::BenchError;

/// Samples that are taken before those that count: the first ones find nothing in any cache.
const WARM_UP: usize = 2;

/// The guests of a benchmark.
#[derive(Clone, Copy, Debug)]
pub struct Guests {
    /// Memory of each guest.
    pub memory_bytes: u64,
    /// vCPUs of each guest.
    pub vcpus: u32,
    /// What decides about shared pages.
    pub sharing: Sharing,
}

/// Whoever wants to know how far a benchmark is: what it does, which sample, of how many.
pub type Watch<'a> = &'a mut dyn FnMut(&str, usize, usize);

/// Times from a call to an answer, sample by sample.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// pincow, to the guest's answer.
    pub ours: Vec<Duration>,
    /// The floor, to the first exit.
    pub floor: Vec<Duration>,
    /// The floor, to the guest's answer.
    pub floor_answer: Vec<Duration>,
}

/// One sample of the floor.
#[derive(Clone, Copy, Debug)]
struct FloorSample {
    first_exit: Duration,
    answer: Duration,
}

impl Times {
    fn push_floor(&mut self, sample: FloorSample) {
        self.floor.push(sample.first_exit);
        self.floor_answer.push(sample.answer);
    }

    /// Leaves the first samples out.
    fn forget(&mut self, samples: usize) {
        for times in [&mut self.ours, &mut self.floor, &mut self.floor_answer] {
            times.drain(..samples);
        }
    }
}

/// Who has the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Ours,
    Floor,
}

/// Both turns, the other one first than in the round before.
fn turns(round: usize) -> [Turn; 2] {
    match round.is_multiple_of(2) {
        true => [Turn::Ours, Turn::Floor],
        false => [Turn::Floor, Turn::Ours],
    }
}

/// `samples` of pincow and as many of the floor, in turns.
fn in_turns(
    what: &str,
    samples: usize,
    watch: Watch<'_>,
    ours: impl Fn() -> Result<Duration, BenchError>,
    floor: impl Fn() -> Result<FloorSample, BenchError>,
) -> Result<Times, BenchError> {
    let mut times = Times::default();
    for round in 0..WARM_UP + samples {
        watch(what, round, WARM_UP + samples);
        for turn in turns(round) {
            match turn {
                Turn::Ours => times.ours.push(ours()?),
                Turn::Floor => times.push_floor(floor()?),
            }
        }
    }
    times.forget(WARM_UP);
    Ok(times)
}

/// Boots a guest, and waits until it waits for commands.
fn boot(host: &Arc<Host>, guests: &Guests) -> Result<Guest, BenchError> {
    boot_with(host, guests, GuestConfig::default())
}

/// The same, with what `config` has beside vCPUs.
fn boot_with(host: &Arc<Host>, guests: &Guests, config: GuestConfig) -> Result<Guest, BenchError> {
    let config = GuestConfig { vcpus: guests.vcpus, ..config };
    let root = Guest::boot(host, guests.memory_bytes, guests.sharing, config, PAYLOAD)?;
    root.machine().start()?;
    drive::wait_ready(&root)?;
    Ok(root)
}

/// A snapshot in which every vCPU waits for a command.
fn snapshot_of_idle(guest: &Guest) -> Result<Snapshot, BenchError> {
    const TRIES: u32 = 100;
    for _ in 0..TRIES {
        let (snapshot, cut) = guest.snapshot()?;
        if cut.parked_at.iter().all(|&at| at == ParkedAt::Blocked) {
            return Ok(snapshot);
        }
        // It has just answered, and is on its way back.
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(BenchError::NotIdle)
}

/// How long a guest takes for a command, from the call to its answer.
fn timed_call(guest: &Guest, command: Command) -> Result<Duration, BenchError> {
    let begun = Instant::now();
    drive::call(guest, 0, command)?;
    Ok(begun.elapsed())
}
