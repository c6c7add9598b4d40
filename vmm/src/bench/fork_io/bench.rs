//! A guest under load that is forked, and both sides verified.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pincow_guest_protocol::Command;
use pincow_guest_protocol::control::SALT;
use pincow_guest_protocol::load::words::{self, flag};
use pincow_mmu::scenario::Random;

use super::super::disk::{DiskFile, SEED};
use super::super::load::{self, GO_ON, Shape};
use super::super::{boot_with, nowhere};
use super::{BenchError, Case, ForkIoTimes, Guests};
use crate::disk::Disk;
use crate::drive::{self, PATIENCE};
use crate::guest::{DiskConfig, Guest, GuestConfig, MakeEngine, PinMode, uring};
use crate::io::{Held, HeldControl, Uring, UringError};
use crate::kvm::Host;
use crate::virtio::blk::BlkOptions;

/// Sectors of a transfer.
const BLOCK: u64 = 8;

/// Blocks of each slot: few, since all that were written are read back.
const BLOCKS_OF_SLOT: u64 = 8;

/// Half of the transfers are writes.
const WRITES: u64 = 128;

/// What a child does after its first transfer, in transfers of each slot.
const TURNS_OF_CHILD: u64 = 4;

/// How often a guest that runs is looked at.
const LOOK_EVERY: Duration = Duration::from_micros(100);

/// On a fast disk: the longest time between two forks.
const LONGEST_REST: Duration = Duration::from_millis(4);

/// Entries of the disk's queue: room for three descriptors of each transfer.
const QUEUE_SIZE: u16 = 256;

/// A guest under load, forked again and again.
pub(super) struct Bench {
    guest: Guest,
    case: Case,
    shape: Shape,
    /// What makes the disks slow, one each.
    controls: Arc<Mutex<Vec<HeldControl>>>,
    random: Random,
    /// How many transfers the guest had begun when it was last looked at.
    begun: u64,
    copies_before: u64,
    times: ForkIoTimes,
}

impl Bench {
    pub(super) fn new(
        host: &Arc<Host>,
        guests: &Guests,
        case: Case,
        folder: &Path,
    ) -> Result<Self, BenchError> {
        let slots = case.in_flight.max(1);
        let shape = Shape { block: BLOCK, blocks: slots * BLOCKS_OF_SLOT, slots, writes: WRITES };
        shape.check(guests.memory_bytes)?;
        let backing = guests.sharing.backing;
        let (file, disk) = DiskFile::new(backing, folder, shape.blocks * BLOCK, Disk::open_above)?;
        let controls = Arc::default();
        let engine = match case.latency {
            Some(latency) => slow(latency, &controls),
            None => uring(),
        };
        let options = BlkOptions { queue_size: QUEUE_SIZE, ..BlkOptions::default() };
        let direct = file.direct;
        let disk = DiskConfig { disk, direct, options, engine, pins: PinMode::Rules };
        let config =
            GuestConfig { disks: vec![disk], inflight: case.policy, ..GuestConfig::default() };
        let guest = boot_with(host, guests, config)?;
        load::init(&guest)?;
        load::prepare(&guest, shape, flag::ORIGINAL | flag::WHOLE)?;
        load::set(&guest, words::DEPTH, case.in_flight)?;
        if case.latency.is_some() {
            load::set(&guest, words::BATCH, slots)?;
        }
        drive::post(&guest, 0, GO_ON)?;
        let times = ForkIoTimes { direct, ..ForkIoTimes::default() };
        let random = Random::new(SEED);
        Ok(Self { guest, case, shape, controls, random, begun: 0, copies_before: 0, times })
    }

    /// Leaves out what was measured so far.
    pub(super) fn begin_to_count(&mut self) {
        self.copies_before = self.guest.realm().counts().early_copies;
        let ForkIoTimes { direct, ref mut violations, .. } = self.times;
        let violations = std::mem::take(violations);
        self.times = ForkIoTimes { direct, violations, ..ForkIoTimes::default() };
    }

    pub(super) fn sample(&mut self, round: usize) -> Result<(), BenchError> {
        self.wait_for_the_moment()?;
        let begun = Instant::now();
        let (child, cut) = self.guest.fork(nowhere())?;
        let ended = load::get(&child, words::ENDED)? + load::unseen(&child)?;
        load::set(&child, words::UNTIL, ended + 1)?;
        load::set(&child, SALT, 2 + round as u64)?;
        let verified = load::get(&child, words::VERIFIED)?;
        if self.case.in_flight == 0 {
            load::set(&child, words::DEPTH, 1)?;
        }
        child.machine().start()?;
        load::reply(&child)?;
        self.times.first.push(begun.elapsed());
        self.times.pause.push(cut.pause);
        self.times.in_flight.push(cut.transfers_in_flight);
        self.go_on(&child)?;
        self.read_back(&child, &format!("fork {round}, the child"), verified)?;
        let counts = child.disk_counts();
        self.times.reissued += counts.iter().map(|counts| counts.reissued).sum::<u64>();
        // The child's goes with it.
        self.controls.lock().truncate(1);
        Ok(())
    }

    /// Waits until the guest has in flight what it is to have.
    fn wait_for_the_moment(&mut self) -> Result<(), BenchError> {
        let Some(latency) = self.case.latency.filter(|_| self.case.in_flight > 0) else {
            let rest = LONGEST_REST.as_micros() as u64;
            std::thread::sleep(Duration::from_micros(self.random.below(rest)));
            return Ok(());
        };
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            std::thread::sleep(LOOK_EVERY);
            let begun = load::get(&self.guest, words::BEGUN)?;
            if begun == self.begun || !self.wave_is_in_flight(begun)? {
                continue;
            }
            self.begun = begun;
            // Any time from a tenth of the latency to half of it.
            let tenth = latency.as_micros() as u64 / 10;
            let rest = tenth + self.random.below(4 * tenth + 1);
            std::thread::sleep(Duration::from_micros(rest));
            // On a busy machine it may have been much longer.
            if self.wave_is_in_flight(begun)? {
                return Ok(());
            }
        }
        Err(BenchError::NoTransfers)
    }

    /// Whether the guest has begun `begun` transfers, and all that it may have are in flight.
    fn wave_is_in_flight(&self, begun: u64) -> Result<bool, BenchError> {
        let ended = load::get(&self.guest, words::ENDED)? + load::unseen(&self.guest)?;
        let same = begun == load::get(&self.guest, words::BEGUN)?;
        Ok(same && begun.checked_sub(ended) == Some(self.case.in_flight))
    }

    /// Lets a child go on until nothing that was in flight at the cut is left, and some more.
    fn go_on(&self, child: &Guest) -> Result<(), BenchError> {
        if let Some(control) = self.controls.lock().last() {
            control.delay(Duration::ZERO);
        }
        load::set(child, words::BATCH, 1)?;
        let limit = TURNS_OF_CHILD * self.shape.slots;
        load::call(child, Command::DiskLoadOn { limit })?;
        Ok(())
    }

    /// Has a guest read back what it wrote. `verified`: how many blocks it had verified when it was
    /// born.
    fn read_back(&mut self, guest: &Guest, who: &str, verified: u64) -> Result<(), BenchError> {
        let totals = load::call(guest, Command::DiskLoadBack)?;
        self.times.verified += totals.verified - verified;
        self.times.violations.extend(load::violation(guest, who, totals)?);
        Ok(())
    }

    /// Verifies the parent, and hands over what was measured.
    pub(super) fn end(mut self) -> Result<ForkIoTimes, BenchError> {
        self.times.early_copies = self.guest.realm().counts().early_copies - self.copies_before;
        self.controls.lock().iter().for_each(|control| control.delay(Duration::ZERO));
        load::stop(&self.guest)?;
        let totals = load::call(&self.guest, Command::DiskLoadBack)?;
        self.times.verified += totals.verified;
        self.times.violations.extend(load::violation(&self.guest, "the parent", totals)?);
        let audit = self.guest.realm().family().audit([]);
        self.times.violations.extend(audit.err().map(|miscount| miscount.to_string()));
        Ok(self.times)
    }
}

/// Makes engines that begin each transfer `latency` after its submission.
fn slow(latency: Duration, controls: &Arc<Mutex<Vec<HeldControl>>>) -> MakeEngine {
    let controls = Arc::clone(controls);
    Arc::new(move |entries| {
        let failed = |source| UringError { operation: "eventfd", entries, source };
        let held = Held::new(Uring::new(entries)?).map_err(failed)?;
        held.control().delay(latency);
        controls.lock().push(held.control());
        Ok(Box::new(held))
    })
}
