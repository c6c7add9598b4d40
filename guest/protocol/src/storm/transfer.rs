//! Transfers: chosen, prepared, made available.

use super::buffer::{lay_out, put_sector};
use super::lent::{BLOCKS, Lent, LentPage};
use super::run::Storm;
use super::shadow::{Expected, Shadow};
use super::slot::{Layout, Slot, State, Word};
use super::words::{self, flag};
use crate::disk::{Bus, Operation, Request, SECTOR_BYTES, Segment};
use crate::sector::SectorHeader;

/// One of so many transfers is a flush, one a write zeroes, one a discard, where they are wanted.
const RARE: u64 = 64;

/// One of so many reads goes to a page that is given up, where that is wanted.
const TARGETED: u64 = 8;

/// In the number of a sector that is nowhere.
const NOWHERE: u64 = 1 << 63;

/// How often a place for a transfer is looked for.
const TRIES: u32 = 4;

impl<B: Bus> Storm<'_, B> {
    /// Gives a free slot a transfer, if there is a place for it on the disk.
    pub(super) fn prepare_any(&mut self, slot: u64) {
        let operation = self.choose_operation();
        if operation == Operation::Flush {
            return self.prepare(slot, operation, self.plan.sector, 0, None);
        }
        let wanted =
            operation == Operation::Read && self.plan.has(flag::LEND) && self.choose(TARGETED) == 0;
        let target = if wanted { self.choose_target() } else { None };
        let most = target.map_or(self.plan.span(slot).most_sectors, |_| BLOCKS);
        let most = most.min(self.plan.sectors);
        let mut sectors = 1 + self.choose(most);
        for _ in 0..TRIES {
            let sector = self.plan.sector + self.choose(self.plan.sectors - sectors + 1);
            let is_free = |sector| !Shadow::load(self.bus, &self.plan, sector).busy;
            if (sector..sector + sectors).all(is_free) {
                return self.prepare(slot, operation, sector, sectors, target);
            }
            sectors = sectors.div_ceil(2);
        }
        if let Some(page) = target {
            page.set_state(self.bus, Lent::GivenUp);
        }
    }

    fn choose_operation(&mut self) -> Operation {
        let rare = match self.choose(RARE) {
            0 => Some((flag::FLUSH, Operation::Flush)),
            1 => Some((flag::ZERO, Operation::Zero)),
            2 => Some((flag::DISCARD, Operation::Discard)),
            _ => None,
        };
        match rare {
            Some((flag, operation)) if self.plan.has(flag) => operation,
            _ if self.choose(256) < self.plan.writes => Operation::Write,
            _ => Operation::Read,
        }
    }

    /// Gives a free slot this transfer, of sectors that no other uses.
    /// A read may go to a page that is given up.
    pub(super) fn prepare(
        &mut self,
        number: u64,
        operation: Operation,
        sector: u64,
        sectors: u64,
        target: Option<LentPage>,
    ) {
        let slot = Slot::new(&self.plan, number);
        let salt = self.take_up_salt();
        let sequence = self.get(words::SEQUENCE);
        self.set(words::SEQUENCE, sequence + 1);
        let record = [
            (Word::Operation, operation as u64),
            (Word::Sector, sector),
            (Word::Sectors, sectors),
            (Word::Sequence, sequence),
            (Word::Salt, salt),
            (Word::Poison, 0),
            (Word::Target, target.map_or(0, |page| page.number + 1)),
        ];
        record.into_iter().for_each(|(word, value)| slot.set(self.bus, word, value));
        slot.set(self.bus, Word::State, State::Prepared as u64);
        for sector in sector..sector + sectors {
            let mut shadow = Shadow::load(self.bus, &self.plan, sector);
            shadow.busy = true;
            if operation != Operation::Read {
                shadow.expected = Expected::Changing;
            }
            shadow.store(self.bus, &self.plan, sector);
        }
        match (operation, target) {
            (_, Some(page)) => self.aim(number, slot, page),
            (Operation::Write, None) => self.fill(number, slot),
            // Pages that the CPU has not touched since a fork are pinned as they are, too.
            (Operation::Read, None) => {
                let poisoned = self.choose(2) == 0;
                self.clear_buffer(number, slot, poisoned);
            }
            _ => {}
        }
    }

    /// Writes the sectors of a write into its buffer.
    fn fill(&mut self, number: u64, slot: Slot) {
        let layout = self.place(number, slot);
        for index in 0..slot.get(self.bus, Word::Sectors) {
            let words = self.written(slot, index).words();
            put_sector(self.bus, &layout, index, &words);
        }
    }

    fn clear_buffer(&mut self, number: u64, slot: Slot, poisoned: bool) {
        let layout = self.place(number, slot);
        if poisoned {
            slot.set(self.bus, Word::Poison, 1);
            for index in 0..slot.get(self.bus, Word::Sectors) {
                put_sector(self.bus, &layout, index, &self.poison(slot, index).words());
            }
        }
    }

    /// Lets a read go to a part of a page, with no stamps beside it.
    fn aim(&mut self, number: u64, slot: Slot, page: LentPage) {
        self.check_stamps(number);
        let sectors = slot.get(self.bus, Word::Sectors);
        let start = page.address + self.choose(BLOCKS - sectors + 1) * SECTOR_BYTES;
        let mut layout = Layout { start, count: 1, ..Layout::default() };
        layout.segments[0] = Segment { address: start, bytes: sectors * SECTOR_BYTES };
        slot.set(self.bus, Word::Count, 0);
        slot.set_layout(self.bus, &layout);
    }

    /// Lays out the buffer of a slot, with stamps. Those of the last one are verified before.
    fn place(&mut self, number: u64, slot: Slot) -> Layout {
        self.check_stamps(number);
        let bytes = slot.get(self.bus, Word::Sectors) * SECTOR_BYTES;
        let aligned = self.choose(256) >= self.plan.unaligned;
        let span = self.plan.span(number);
        let layout = lay_out(span, bytes, aligned, |below| self.choose(below));
        // Until the stamps are written, there are none.
        slot.set(self.bus, Word::Count, 0);
        let key = self.next_key(slot);
        self.write_stamps(&layout, key);
        slot.set(self.bus, Word::Stamps, key);
        slot.set_layout(self.bus, &layout);
        layout
    }

    /// What is in the buffer of a read before the device fills it: a sector that is on no disk, but
    /// tells whose it is.
    pub(super) fn poison(&self, slot: Slot, index: u64) -> SectorHeader {
        SectorHeader { sector: NOWHERE | index, ..self.written(slot, index) }
    }

    /// The header of a sector that a slot's transfer writes.
    pub(super) fn written(&self, slot: Slot, index: u64) -> SectorHeader {
        SectorHeader {
            salt: slot.get(self.bus, Word::Salt),
            sequence: slot.get(self.bus, Word::Sequence),
            sector: slot.get(self.bus, Word::Sector) + index,
            seed: self.plan.seed,
        }
    }

    /// Makes everything available that is prepared, as far as the queue has room.
    pub(super) fn submit(&mut self) {
        for number in 0..self.plan.depth {
            if !self.submit_one(number) {
                break;
            }
        }
        self.disk.tell(self.bus);
    }

    /// Makes a slot's transfer available, if it is prepared; the doorbell is not rung. Whether the
    /// queue had room.
    pub(super) fn submit_one(&mut self, number: u64) -> bool {
        let slot = Slot::new(&self.plan, number);
        if !slot.is(self.bus, State::Prepared) {
            return true;
        }
        let operation = slot.operation(self.bus);
        let layout = slot.layout(self.bus);
        let segments = match operation {
            Operation::Read | Operation::Write => layout.segments(),
            _ => &[],
        };
        let request = Request {
            operation,
            sector: slot.get(self.bus, Word::Sector),
            sectors: slot.get(self.bus, Word::Sectors),
            segments,
            token: number,
        };
        if self.disk.submit(self.bus, &request).is_err() {
            return false;
        }
        slot.set(self.bus, Word::State, State::Submitted as u64);
        self.set(words::IN_FLIGHT, self.disk.in_flight(self.bus));
        true
    }
}
