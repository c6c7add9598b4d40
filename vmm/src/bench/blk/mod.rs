//! Disk transfers of a guest beside the same transfers by a bare loop on the host.
//!
//! The guest keeps so many transfers of one length in flight on a raw file, as a
//! [load](pincow_guest_protocol::load); a thread on the host does the same on the same file with nothing
//! but io_uring. Both follow the same pattern of blocks, prepare and verify each transfer alike, and take
//! turns. After each turn of the guest, outside of what is measured, what it wrote is read back and
//! compared word by word; of what it read the last block of each slot is.
//!
//! Beside it stands what only the guest has: doorbells, wake-ups of the disk's thread, and what one of
//! each costs on this host ([`Exits`]).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pincow_guest_protocol::Command;
use pincow_guest_protocol::load::words::flag;

use super::disk::DiskFile;
use super::load::{self, Shape};
use super::{BenchError, Guests, Turn, Watch, boot_with, timed_call, turns};
use crate::disk::{Disk, SECTOR_BYTES};
use crate::guest::{DiskConfig, Guest, GuestConfig, PinMode, uring};
use crate::kvm::Host;
use crate::virtio::blk::{BlkOptions, Direction};

mod bare;
mod exits;
#[cfg(test)]
mod tests;
mod threads;

pub use exits::Exits;

use bare::Bare;
use threads::Work;

/// Rounds before those that count.
const WARM_UP: usize = 1;

/// How long a round of the bare loop is to take.
const ROUND: Duration = Duration::from_millis(100);

/// Transfers of each slot by which the bare loop's speed is found out, and in a round at least.
const LEAST_TURNS: u64 = 8;

/// Transfers in a round at most.
const MOST_TRANSFERS: u64 = 1 << 20;

/// Entries of the disk's queue: room for three descriptors of each transfer.
const QUEUE_SIZE: u16 = 256;

/// The most transfers in flight.
pub const MOST_DEPTH: u64 = 64;

/// The longest transfer, in bytes.
pub const MOST_BYTES: u64 = 128 << 10;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Reads or writes of the disk.
    pub direction: Direction,
    /// Length of a transfer: a multiple of a sector, up to [`MOST_BYTES`].
    pub block_bytes: u64,
    /// Transfers in flight: from 1 to [`MOST_DEPTH`].
    pub depth: u64,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct BlkTimes {
    /// Transfers in each round.
    pub transfers: u64,
    /// How long the guest took for them, round by round.
    pub guest: Vec<Duration>,
    /// How long the bare loop took.
    pub bare: Vec<Duration>,
    /// Doorbells of the guest in all rounds.
    pub bells: u64,
    /// How often the disk's thread went to sleep and was woken, in all rounds.
    pub wake_ups: u64,
    /// CPU time of the disk's thread in all rounds.
    pub disk_cpu: Duration,
    /// Requests whose memory could not be used for transfers as it was.
    pub bounced: u64,
    /// What was not as it should be, in words. Empty when all is well.
    pub violations: Vec<String>,
}

/// A guest with a disk, and the file of that disk.
pub struct Blk {
    guest: Guest,
    file: DiskFile,
    memory_bytes: u64,
    sectors: u64,
    /// The disk does not hold any more what it held originally.
    dirty: bool,
    /// What the kernel calls the thread of the disk.
    thread: Option<String>,
}

impl Blk {
    /// Makes a file of `file_bytes` bytes in `folder`, and a guest that has it as its disk.
    ///
    /// # Errors
    /// When the file or the guest cannot be made.
    pub fn new(
        host: &Arc<Host>,
        guests: &Guests,
        file_bytes: u64,
        folder: &Path,
    ) -> Result<Self, BenchError> {
        let sectors = file_bytes / SECTOR_BYTES;
        let open = |path: &Path, options| Disk::open_raw(path, false, options);
        let (file, disk) = DiskFile::new(guests.sharing.backing, folder, sectors, open)?;
        let options = BlkOptions { queue_size: QUEUE_SIZE, ..BlkOptions::default() };
        let direct = file.direct;
        let disk = DiskConfig { disk, direct, options, engine: uring(), pins: PinMode::Rules };
        let config = GuestConfig { disks: vec![disk], ..GuestConfig::default() };
        let before = threads::disks();
        let guest = boot_with(host, guests, config)?;
        let thread = threads::disks().difference(&before).next().cloned();
        let memory_bytes = guests.memory_bytes;
        Ok(Self { guest, file, memory_bytes, sectors, dirty: false, thread })
    }

    /// Whether transfers go past the page cache.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.file.direct
    }

    /// Measures `samples` rounds of the guest and of the bare loop.
    ///
    /// # Errors
    /// When the guest ends, does not answer, or is too small.
    pub fn measure(
        &mut self,
        case: Case,
        samples: usize,
        watch: Watch<'_>,
    ) -> Result<BlkTimes, BenchError> {
        let Case { direction, block_bytes, depth } = case;
        let block = block_bytes / SECTOR_BYTES;
        let writes = if direction == Direction::ToDevice { 256 } else { 0 };
        let shape = Shape { block, blocks: self.sectors / block, slots: depth, writes };
        shape.check(self.memory_bytes)?;
        if shape.blocks < depth {
            let least = depth * block_bytes;
            return Err(BenchError::SmallFile { bytes: self.sectors * SECTOR_BYTES, least });
        }
        if writes == 0 && std::mem::take(&mut self.dirty) {
            self.file.refill()?;
        }
        self.dirty |= writes > 0;
        load::init(&self.guest)?;
        let mut bare = Bare::new(&self.file.file, shape)?;
        let few = depth * LEAST_TURNS;
        let pace = bare.round(few)?.as_secs_f64() / few as f64;
        let transfers = ((ROUND.as_secs_f64() / pace) as u64).clamp(few, MOST_TRANSFERS);
        let mut times = BlkTimes { transfers, ..BlkTimes::default() };
        for round in 0..WARM_UP + samples {
            watch("transferring", round, WARM_UP + samples);
            if round == WARM_UP {
                let violations = std::mem::take(&mut times.violations);
                times = BlkTimes { transfers, violations, ..BlkTimes::default() };
            }
            for turn in turns(round) {
                match turn {
                    Turn::Ours => self.round(shape, &mut times)?,
                    Turn::Floor => times.bare.push(bare.round(transfers)?),
                }
            }
        }
        times.violations.extend(bare.violation);
        Ok(times)
    }

    /// One round of the guest, and then its verification.
    fn round(&self, shape: Shape, times: &mut BlkTimes) -> Result<(), BenchError> {
        let reads = shape.writes == 0;
        load::prepare(&self.guest, shape, if reads { flag::ORIGINAL } else { 0 })?;
        let counts = || self.guest.disk_counts().first().copied().unwrap_or_default();
        let (work, bounced) = (self.work(), counts().bounced);
        let command = Command::DiskLoadOn { limit: times.transfers };
        times.guest.push(timed_call(&self.guest, command)?);
        let Work { sleeps, cpu } = self.work().since(work);
        times.wake_ups += sleeps;
        times.disk_cpu += cpu;
        times.bounced += counts().bounced - bounced;
        let bells = load::get(&self.guest, pincow_guest_protocol::load::words::BELLS)?;
        times.bells += bells;
        let totals = match reads {
            true => load::verify_whole(&self.guest, shape.slots)?,
            false => load::call(&self.guest, Command::DiskLoadBack)?,
        };
        let what = load::violation(&self.guest, "the guest", totals)?;
        times.violations.extend(what);
        if totals.verified == 0 {
            times.violations.push("the guest verified nothing".to_owned());
        }
        Ok(())
    }

    fn work(&self) -> Work {
        self.thread.as_deref().map_or_else(Work::default, threads::work)
    }

    /// Measures exits and wake-ups, `samples` times each.
    ///
    /// # Errors
    /// When the guest ends or does not answer.
    pub fn exits(&self, samples: usize) -> Result<Exits, BenchError> {
        load::init(&self.guest)?;
        exits::measure(&self.guest, samples)
    }
}
