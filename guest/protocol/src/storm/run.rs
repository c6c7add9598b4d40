//! The storm's loop.

use super::finding::Finding;
use super::plan::Plan;
use super::slot::{Slot, State};
use super::words::{self, flag, phase};
use crate::control::{SALT, STOP};
use crate::devices::VALUES;
use crate::disk::{Bus, Disk, DiskError, Operation};
use crate::table::mix;

/// How many slots are given a transfer, and how many have their stamps verified, in one turn.
const PREPARED_PER_TURN: u64 = 8;
const STAMPED_PER_TURN: u64 = 2;

/// The doorbell is rung after so many completions, at the latest.
const TOLD_AFTER: u64 = 8;

/// After so many fruitless turns in a row the vCPU sleeps, and for how long, in microseconds: long
/// enough for others to run, and shorter than what a full queue takes on any disk.
const RESTLESS_TURNS: u64 = 16;
const REST_US: u64 = 200;

/// How many fruitless turns there are between two questions whether the device has broken.
const FRUITLESS_TURNS: u64 = 1 << 14;

const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a storm replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Transfers that have ended since the storm began.
    pub transfers: u64,
    /// Bytes that they moved.
    pub bytes: u64,
    /// Findings.
    pub findings: u64,
    /// Sectors that the last reading back went over.
    pub read_back: u64,
}

impl Totals {
    /// The values of the reply.
    #[must_use]
    pub const fn values(&self) -> [u64; VALUES] {
        [self.transfers, self.bytes, self.findings, self.read_back]
    }

    /// The totals that a reply with these values tells.
    #[must_use]
    pub const fn from_values([transfers, bytes, findings, read_back]: [u64; VALUES]) -> Self {
        Self { transfers, bytes, findings, read_back }
    }
}

/// Why a storm does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StormError {
    /// A parameter is out of range, the memory is too small, or there was no storm yet.
    Parameters,
    /// The disk was not set up, is too small, or has broken.
    Disk(DiskError),
}

/// A storm on a vCPU.
pub struct Storm<'a, B> {
    pub(super) bus: &'a mut B,
    pub(super) plan: Plan,
    pub(super) disk: Disk,
    pub(super) control: u64,
}

impl<'a, B: Bus> Storm<'a, B> {
    /// Begins a storm with the parameters of the control page, page number `control`, and `pages`
    /// pages of memory from page `first` on.
    ///
    /// # Errors
    /// [`StormError`]; nothing but the control page was written then.
    pub fn start(
        bus: &'a mut B,
        control: u64,
        [first, pages, seed]: [u64; 3],
    ) -> Result<Self, StormError> {
        for word in words::FIRST..words::DEVICE + words::COUNT {
            bus.store(control, word, 0);
        }
        let begun = [(words::FIRST, first), (words::PAGES, pages), (words::SEED, seed)];
        begun.into_iter().for_each(|(word, value)| bus.store(control, word, value));
        let mut storm = Self::open(bus, control)?;
        storm.set(words::CHOICE, mix(seed));
        for slot in 0..storm.plan.depth {
            let at = storm.plan.slot(slot);
            (0..32).for_each(|word| storm.bus.set_word(at + word * 8, 0));
        }
        storm.forget_sectors();
        storm.take_up_salt();
        Ok(storm)
    }

    /// The storm that was begun before, wherever it stands.
    ///
    /// # Errors
    /// When there was none, or its disk is gone.
    pub fn open(bus: &'a mut B, control: u64) -> Result<Self, StormError> {
        let plan = Plan::from_words(|word| bus.load(control, word));
        let plan = plan.ok_or(StormError::Parameters)?;
        let disk = Disk::open(bus, plan.device).map_err(StormError::Disk)?;
        if plan.sector + plan.sectors > disk.info(bus).capacity {
            return Err(StormError::Parameters);
        }
        Ok(Self { bus, plan, disk, control })
    }

    /// Goes on until stopped or until `limit` transfers were begun (0: no limit), waits for the
    /// last of them, and reads the region back unless that is not wanted.
    ///
    /// # Errors
    /// When the device breaks.
    pub fn run(&mut self, limit: u64) -> Result<Totals, StormError> {
        let end = match limit {
            0 => u64::MAX,
            _ => self.get(words::SEQUENCE) + limit,
        };
        self.set(words::PHASE, phase::STORM);
        let mut fruitless = 0;
        while self.bus.load(self.control, STOP) == 0 && self.get(words::SEQUENCE) < end {
            let done = self.turn(end)?;
            self.rest(done, &mut fruitless)?;
        }
        self.drain()?;
        self.bus.store(self.control, STOP, 0);
        if !self.plan.has(flag::NO_READ_BACK) {
            self.read_back()?;
        }
        self.set(words::PHASE, phase::IDLE);
        Ok(self.totals())
    }

    /// One turn: completions, each followed by a new transfer up to number `end`, more new
    /// transfers, stamps. What is prepared last is made available in the next turn, so that forks
    /// come in between too. Whether anything has ended.
    pub(super) fn turn(&mut self, end: u64) -> Result<bool, StormError> {
        let mut ended = 0_u64;
        self.submit();
        while let Some(slot) = self.reap_one()? {
            ended += 1;
            if self.get(words::SEQUENCE) < end {
                // The device has work while the next completion is verified.
                self.prepare_any(slot);
                self.submit_one(slot);
            }
            if ended.is_multiple_of(TOLD_AFTER) {
                self.disk.tell(self.bus);
            }
        }
        self.disk.tell(self.bus);
        let mut prepared = 0;
        for slot in 0..self.plan.depth {
            if prepared == PREPARED_PER_TURN || self.get(words::SEQUENCE) >= end {
                break;
            }
            if Slot::new(&self.plan, slot).is(self.bus, State::Free) {
                prepared += 1;
                self.prepare_any(slot);
            }
        }
        self.stamp_some();
        if self.plan.has(flag::LEND) {
            self.lend_one();
        }
        Ok(ended > 0)
    }

    /// Waits until nothing is prepared or in flight.
    pub(super) fn drain(&mut self) -> Result<(), StormError> {
        self.set(words::PHASE, phase::DRAIN);
        let mut fruitless = 0;
        while self.is_busy() {
            self.submit();
            let done = self.reap()?;
            self.stamp_some();
            self.rest(done, &mut fruitless)?;
        }
        Ok(())
    }

    /// Reads the whole region and verifies it. Nothing else is in flight.
    ///
    /// # Errors
    /// When the device breaks.
    pub fn read_back(&mut self) -> Result<Totals, StormError> {
        self.drain()?;
        self.set(words::PHASE, phase::READ_BACK);
        self.set(words::READ_BACK, 0);
        let (mut next, end) = (self.plan.sector, self.plan.sector + self.plan.sectors);
        let mut fruitless = 0;
        while next < end || self.is_busy() {
            let done = self.reap()?;
            for slot in 0..self.plan.depth {
                if next < end && Slot::new(&self.plan, slot).is(self.bus, State::Free) {
                    let sectors = self.plan.span(slot).most_sectors.min(end - next);
                    self.prepare(slot, Operation::Read, next, sectors, None);
                    next += sectors;
                    self.add(words::READ_BACK, sectors);
                }
            }
            self.submit();
            self.stamp_some();
            self.rest(done, &mut fruitless)?;
        }
        self.set(words::PHASE, phase::IDLE);
        Ok(self.totals())
    }

    fn totals(&self) -> Totals {
        Totals {
            transfers: self.get(words::TRANSFERS),
            bytes: self.get(words::BYTES),
            findings: self.get(words::FINDINGS),
            read_back: self.get(words::READ_BACK),
        }
    }

    /// After a turn that may have been fruitless.
    fn rest(&mut self, done: bool, fruitless: &mut u64) -> Result<(), StormError> {
        if done {
            *fruitless = 0;
            return Ok(());
        }
        self.bus.relax();
        *fruitless += 1;
        if fruitless.is_multiple_of(RESTLESS_TURNS) {
            self.bus.rest(REST_US);
        }
        if fruitless.is_multiple_of(FRUITLESS_TURNS) && self.disk.is_broken(self.bus) {
            return Err(StormError::Disk(DiskError::Broken));
        }
        Ok(())
    }

    fn is_busy(&self) -> bool {
        (0..self.plan.depth).any(|slot| !Slot::new(&self.plan, slot).is(self.bus, State::Free))
    }

    fn stamp_some(&mut self) {
        for _ in 0..STAMPED_PER_TURN {
            let slot = self.get(words::CURSOR) % self.plan.depth;
            self.set(words::CURSOR, slot + 1);
            self.renew_stamps(slot);
        }
    }

    /// The salt for what is written from now on: the monitor's. A new one is remembered, and the
    /// choices that follow are others.
    pub(super) fn take_up_salt(&mut self) -> u64 {
        let salts = self.get(words::SALTS);
        let wanted = self.bus.load(self.control, SALT);
        let current = salts.checked_sub(1).map(|last| self.bus.word(self.plan.salt(last) + 8));
        if current != Some(wanted) {
            let pair = self.plan.salt(salts);
            self.bus.set_word(pair, self.get(words::SEQUENCE));
            self.bus.set_word(pair + 8, wanted);
            self.set(words::SALTS, salts + 1);
            self.set(words::CHOICE, mix(self.get(words::CHOICE) ^ wanted));
        }
        wanted
    }

    /// A number below `below`, which is not 0.
    pub(super) fn choose(&mut self, below: u64) -> u64 {
        let choice = self.get(words::CHOICE).wrapping_add(ODD);
        self.set(words::CHOICE, choice);
        mix(choice) % below
    }

    pub(super) fn note(&mut self, finding: &Finding) {
        if self.get(words::FINDINGS) == 0 {
            for (word, value) in (words::FIRST_FINDING..).zip(finding.words()) {
                self.set(word, value);
            }
        }
        self.add(words::FINDINGS + finding.kind as usize, 1);
        self.add(words::FINDINGS, 1);
    }

    pub(super) fn get(&self, word: usize) -> u64 {
        self.bus.load(self.control, word)
    }

    pub(super) fn set(&mut self, word: usize, value: u64) {
        self.bus.store(self.control, word, value);
    }

    pub(super) fn add(&mut self, word: usize, more: u64) {
        self.set(word, self.get(word) + more);
    }
}
