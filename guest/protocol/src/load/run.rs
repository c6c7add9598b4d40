//! The load's loop.

use super::content::{self, SECTOR_WORDS};
use super::plan::Plan;
use super::slot::{Slot, Word};
use super::words::{self, flag};
use crate::control::{SALT, STOP};
use crate::devices::VALUES;
use crate::disk::{Bus, Disk, DiskError, Operation, SECTOR_BYTES};

/// How many fruitless turns there are between two questions whether the device has broken.
const FRUITLESS_TURNS: u64 = 1 << 18;

/// What a load replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Transfers that have ended.
    pub ended: u64,
    /// How often the doorbell was rung.
    pub bells: u64,
    /// Blocks that were verified.
    pub verified: u64,
    /// Transfers that failed, or brought something else than they should.
    pub bad: u64,
}

impl Totals {
    /// The values of the reply.
    #[must_use]
    pub const fn values(&self) -> [u64; VALUES] {
        [self.ended, self.bells, self.verified, self.bad]
    }

    /// The totals that a reply with these values tells.
    #[must_use]
    pub const fn from_values([ended, bells, verified, bad]: [u64; VALUES]) -> Self {
        Self { ended, bells, verified, bad }
    }
}

/// Why a load does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// A parameter is out of range, the memory is too small, or nothing was prepared yet.
    Parameters,
    /// The disk was not set up, is too small, or has broken.
    Disk(DiskError),
}

/// A load on a vCPU.
pub struct Load<'a, B> {
    pub(super) bus: &'a mut B,
    pub(super) plan: Plan,
    pub(super) disk: Disk,
    control: u64,
}

impl<'a, B: Bus> Load<'a, B> {
    /// Prepares a load with the parameters of the control page, page number `control`, and `pages`
    /// pages of memory from page `first` on. Nothing is in flight afterwards.
    ///
    /// # Errors
    /// [`LoadError`]; nothing but the control page was written then.
    pub fn prepare(
        bus: &'a mut B,
        control: u64,
        [first, pages, seed]: [u64; 3],
    ) -> Result<Self, LoadError> {
        (words::FIRST..=words::BAD_FOUND).for_each(|word| bus.store(control, word, 0));
        let begun = [(words::FIRST, first), (words::PAGES, pages), (words::SEED, seed)];
        begun.into_iter().for_each(|(word, value)| bus.store(control, word, value));
        let load = Self::open(bus, control)?;
        let (plan, seed) = (load.plan, load.plan.pattern.seed);
        let original = if plan.has(flag::ORIGINAL) { content::original(seed) } else { 0 };
        let records = (plan.slot(0)..plan.shadow(0)).step_by(8);
        records.for_each(|address| load.bus.set_word(address, 0));
        let shadow = (plan.shadow(0)..plan.shadow(plan.pattern.blocks)).step_by(8);
        shadow.for_each(|address| load.bus.set_word(address, original));
        let body: [u64; SECTOR_WORDS] = core::array::from_fn(|index| content::body(seed, index));
        for slot in 0..plan.pattern.slots {
            for sector in 0..plan.block {
                let address = plan.buffer(slot) + sector * SECTOR_BYTES;
                for (word, address) in body.iter().zip((address..).step_by(8)) {
                    load.bus.set_word(address, *word);
                }
            }
        }
        Ok(load)
    }

    /// The load that was prepared before, wherever it stands.
    ///
    /// # Errors
    /// When there was none, or its disk is gone.
    pub fn open(bus: &'a mut B, control: u64) -> Result<Self, LoadError> {
        let plan = Plan::from_words(|word| bus.load(control, word));
        let plan = plan.ok_or(LoadError::Parameters)?;
        let disk = Disk::open(bus, plan.device).map_err(LoadError::Disk)?;
        if plan.sector + plan.sectors() > disk.info(bus).capacity {
            return Err(LoadError::Parameters);
        }
        Ok(Self { bus, plan, disk, control })
    }

    /// Goes on until stopped or until `limit` transfers were begun (0: no limit), and waits for the
    /// last of them; or until [`UNTIL`](words::UNTIL).
    ///
    /// # Errors
    /// When the device breaks.
    pub fn run(&mut self, limit: u64) -> Result<Totals, LoadError> {
        let whole = self.plan.has(flag::WHOLE);
        let end = match limit {
            0 => u64::MAX,
            _ => self.get(words::BEGUN) + limit,
        };
        let mut fruitless = 0;
        loop {
            let ended = self.reap(whole)?;
            let until = self.get(words::UNTIL);
            if until != 0 && self.get(words::ENDED) >= until {
                self.set(words::UNTIL, 0);
                break;
            }
            let stopped = self.bus.load(self.control, STOP) != 0;
            let left = if stopped { 0 } else { end - self.get(words::BEGUN) };
            let in_flight = self.disk.in_flight(self.bus);
            if left == 0 && in_flight == 0 {
                self.bus.store(self.control, STOP, 0);
                break;
            }
            let room = self.get(words::DEPTH).min(self.plan.pattern.slots);
            let room = room.saturating_sub(in_flight);
            if room >= self.get(words::BATCH).max(1) {
                self.begin(room.min(left));
            }
            self.tell();
            self.rest(ended, &mut fruitless)?;
        }
        Ok(self.totals())
    }

    /// Reads back every block that was written, and verifies all words of it. Nothing else may be
    /// in flight.
    ///
    /// # Errors
    /// When the device breaks.
    pub fn read_back(&mut self) -> Result<Totals, LoadError> {
        let (pattern, mut fruitless) = (self.plan.pattern, 0);
        (0..pattern.slots).for_each(|slot| {
            Slot::new(&self.plan, slot).set(self.bus, Word::Looked, 0);
        });
        loop {
            let ended = self.reap(true)?;
            for slot in 0..pattern.slots {
                if Slot::new(&self.plan, slot).is_free(self.bus) {
                    self.read_next(slot);
                }
            }
            self.tell();
            if self.disk.in_flight(self.bus) == 0 {
                return Ok(self.totals());
            }
            self.rest(ended, &mut fruitless)?;
        }
    }

    /// Reads the next block of a slot that a transfer has written, if there is one more.
    fn read_next(&mut self, slot: u64) {
        let (record, pattern) = (Slot::new(&self.plan, slot), self.plan.pattern);
        let unwritten = [0, content::original(pattern.seed)];
        for looked in record.get(self.bus, Word::Looked)..pattern.blocks_of_slot() {
            let block = looked * pattern.slots + slot;
            let written = !unwritten.contains(&self.bus.word(self.plan.shadow(block)));
            if written && !self.submit(slot, Operation::Read, block) {
                return;
            }
            record.set(self.bus, Word::Looked, looked + 1);
            if written {
                return;
            }
        }
    }

    /// Begins `most` transfers at most, and no more than there are free slots.
    fn begin(&mut self, most: u64) {
        let mut begun = 0;
        for slot in 0..self.plan.pattern.slots {
            if begun == most {
                break;
            }
            let record = Slot::new(&self.plan, slot);
            if record.is_free(self.bus) {
                let turn = record.get(self.bus, Word::Turns);
                let next = self.plan.pattern.next(slot, turn);
                if !self.submit(slot, next.operation, next.block) {
                    break;
                }
                record.set(self.bus, Word::Turns, turn + 1);
                begun += 1;
            }
        }
    }

    fn tell(&mut self) {
        if self.disk.tell(self.bus) {
            self.add(words::BELLS, 1);
        }
    }

    /// After a turn that may have been fruitless.
    fn rest(&mut self, done: bool, fruitless: &mut u64) -> Result<(), LoadError> {
        if done {
            *fruitless = 0;
            return Ok(());
        }
        self.bus.relax();
        *fruitless += 1;
        if fruitless.is_multiple_of(FRUITLESS_TURNS) && self.disk.is_broken(self.bus) {
            return Err(LoadError::Disk(DiskError::Broken));
        }
        Ok(())
    }

    fn totals(&self) -> Totals {
        Totals {
            ended: self.get(words::ENDED),
            bells: self.get(words::BELLS),
            verified: self.get(words::VERIFIED),
            bad: self.get(words::BAD),
        }
    }

    /// The salt for what is written from now on: the monitor's.
    pub(super) fn salt(&self) -> u64 {
        self.bus.load(self.control, SALT)
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
