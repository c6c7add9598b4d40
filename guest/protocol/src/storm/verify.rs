//! Completions, and what is verified at each.

use super::buffer::sector_at;
use super::finding::{Finding, FindingKind, Judge, expected_words};
use super::lent::Lent;
use super::plan::{Plan, SALTS_MAX};
use super::run::{Storm, StormError};
use super::shadow::{Expected, Shadow};
use super::slot::{Layout, Slot, State, Word};
use super::stamps;
use super::words::{self, flag};
use crate::disk::{Bus, Completion, DiskError, Operation, SECTOR_BYTES, status};
use crate::memory::Memory;
use crate::sector::{HEADER_WORDS, SECTOR_WORDS};
use crate::table::mix;

impl<B: Bus> Storm<'_, B> {
    /// Takes all completions that there are. Whether there were any.
    pub(super) fn reap(&mut self) -> Result<bool, StormError> {
        let mut any = false;
        while self.reap_one()?.is_some() {
            any = true;
        }
        Ok(any)
    }

    /// Takes a completion, if there is one, and says which slot is free now.
    pub(super) fn reap_one(&mut self) -> Result<Option<u64>, StormError> {
        let Some(completion) = self.disk.poll(self.bus).map_err(StormError::Disk)? else {
            return Ok(None);
        };
        self.set(words::IN_FLIGHT, self.disk.in_flight(self.bus));
        let slot = Slot::new(&self.plan, completion.token);
        if completion.token >= self.plan.depth || !slot.is(self.bus, State::Submitted) {
            return Err(StormError::Disk(DiskError::Broken));
        }
        self.end(slot, completion);
        Ok(Some(completion.token))
    }

    fn end(&mut self, slot: Slot, completion: Completion) {
        let operation = slot.operation(self.bus);
        if let Some(page) = self.target_of(slot) {
            page.set_state(self.bus, Lent::Changing);
        }
        let sectors = slot.get(self.bus, Word::Sectors);
        let bytes = match operation {
            Operation::Read | Operation::Write => sectors * SECTOR_BYTES,
            _ => 0,
        };
        let done = completion.status == status::OK;
        let data = if operation == Operation::Read { bytes } else { 0 };
        let failed = completion.status == status::IO_ERROR && self.plan.has(flag::ERRORS);
        if failed {
            self.add(words::ERRORS, 1);
        } else if !done || completion.written != data + 1 {
            self.note_status(slot, completion, data + 1);
        }
        self.check_stamps(completion.token);
        let layout = slot.layout(self.bus);
        match operation {
            Operation::Read if done => self.check_read(slot, &layout),
            Operation::Write => self.check_untouched(slot, &layout),
            _ => {}
        }
        let expected = match operation {
            Operation::Read | Operation::Flush | Operation::Id => None,
            Operation::Write if done => Some(Expected::Written {
                salt: slot.get(self.bus, Word::Salt),
                sequence: slot.get(self.bus, Word::Sequence),
            }),
            Operation::Zero if done => Some(Expected::Zeros),
            Operation::Discard if done && self.plan.has(flag::DISCARDED_ARE_ZEROS) => {
                Some(Expected::Zeros)
            }
            _ => Some(Expected::Unknown),
        };
        let sector = slot.get(self.bus, Word::Sector);
        for sector in sector..sector + sectors {
            let before = Shadow::load(self.bus, &self.plan, sector).expected;
            let shadow = Shadow::idle(expected.unwrap_or(before));
            shadow.store(self.bus, &self.plan, sector);
        }
        if let Some(page) = self.target_of(slot) {
            let first = page.block_of(layout.start);
            self.take_back(page, first..first + sectors);
        }
        slot.set(self.bus, Word::State, State::Free as u64);
        self.add(words::TRANSFERS, 1);
        if done {
            self.add(words::BYTES, bytes);
        }
    }

    fn note_status(&mut self, slot: Slot, completion: Completion, written: u64) {
        self.note(&Finding {
            kind: FindingKind::Status,
            address: 0,
            sector: slot.get(self.bus, Word::Sector),
            transfer: slot.get(self.bus, Word::Sequence),
            expected: [status::OK.into(), written],
            found: [completion.status.into(), completion.written],
        });
    }

    fn check_read(&mut self, slot: Slot, layout: &Layout) {
        let first = slot.get(self.bus, Word::Sector);
        let poisoned = slot.get(self.bus, Word::Poison) != 0;
        let target = self.target_of(slot);
        for index in 0..slot.get(self.bus, Word::Sectors) {
            let words = sector_at(self.bus, layout, index);
            // What was read to a page that is given up may have been discarded since.
            if target.is_some() && words == [0; SECTOR_WORDS] {
                continue;
            }
            let expected = Shadow::load(self.bus, &self.plan, first + index).expected;
            let (memory, plan, control) = (&*self.bus, &self.plan, self.control);
            let history = |salt, sequence| knows(memory, plan, control, salt, sequence);
            let fresh = plan.has(flag::FRESH) || plan.has(flag::ZEROS);
            let judge = Judge { seed: plan.seed, fresh, history };
            let missed = match target {
                Some(page) => page.holds(self.bus, page.block_of(layout.start) + index, &words),
                None => poisoned && has_poison(&words, &self.poison(slot, index).words()),
            };
            let kind = match judge.judge(first + index, expected, &words) {
                _ if missed => Some(FindingKind::Lost),
                // The buffer was not cleared: it is as likely that it still holds what it held.
                Some(FindingKind::Misplaced) if !poisoned => Some(FindingKind::Lost),
                kind => kind,
            };
            self.add(words::COMPARED, u64::from(expected != Expected::Unknown));
            if let Some(kind) = kind {
                let expected = expected_words(expected);
                self.note_sector(slot, layout, index, kind, expected, [words[0], words[1]]);
            }
        }
    }

    /// Devices only read the buffer of a write.
    fn check_untouched(&mut self, slot: Slot, layout: &Layout) {
        for index in 0..slot.get(self.bus, Word::Sectors) {
            let expected = self.written(slot, index).words();
            let words = sector_at(self.bus, layout, index);
            if let Some(bad) = (0..SECTOR_WORDS).find(|word| words[*word] != expected[*word]) {
                let kind = FindingKind::Corrupt;
                self.note_sector(slot, layout, index, kind, [expected[bad], 0], [words[bad], 0]);
            }
        }
    }

    fn note_sector(
        &mut self,
        slot: Slot,
        layout: &Layout,
        index: u64,
        kind: FindingKind,
        expected: [u64; 2],
        found: [u64; 2],
    ) {
        let address = layout.find(index * SECTOR_BYTES).map_or(0, |run| run.address);
        let sector = slot.get(self.bus, Word::Sector) + index;
        let transfer = slot.get(self.bus, Word::Sequence);
        self.note(&Finding { kind, address, sector, transfer, expected, found });
    }

    /// Verifies the stamps beside a slot's buffer.
    pub(super) fn check_stamps(&mut self, number: u64) {
        self.add(words::STAMPED, 1);
        if let Some(finding) = bad_stamp(self.bus, &self.plan, number) {
            self.note(&finding);
        }
    }

    /// Verifies the stamps beside a slot's buffer, and writes new ones.
    pub(super) fn renew_stamps(&mut self, number: u64) {
        self.check_stamps(number);
        let slot = Slot::new(&self.plan, number);
        let layout = slot.layout(self.bus);
        let key = self.next_key(slot);
        slot.set(self.bus, Word::NextStamps, key);
        self.write_stamps(&layout, key);
        slot.set(self.bus, Word::Stamps, key);
        slot.set(self.bus, Word::NextStamps, 0);
    }

    /// The key of the next stamps, never 0. It has the salt in it, so sides of a fork differ.
    pub(super) fn next_key(&self, slot: Slot) -> u64 {
        let salt = self.bus.load(self.control, crate::control::SALT);
        mix(slot.get(self.bus, Word::Stamps) ^ mix(salt)).wrapping_add(self.plan.seed) | 1
    }

    pub(super) fn write_stamps(&mut self, layout: &Layout, key: u64) {
        for (from, to) in layout.gaps() {
            stamps::write(self.bus, key, from, to);
        }
    }
}

/// The first bad stamp beside the buffer of a slot.
pub(super) fn bad_stamp(memory: &impl Memory, plan: &Plan, number: u64) -> Option<Finding> {
    let slot = Slot::new(plan, number);
    let keys = [slot.get(memory, Word::Stamps), slot.get(memory, Word::NextStamps)];
    let layout = slot.layout(memory);
    let bad = layout.gaps().find_map(|(from, to)| stamps::check(memory, keys, from, to))?;
    Some(Finding {
        kind: FindingKind::Corrupt,
        address: bad.address,
        sector: slot.get(memory, Word::Sector),
        transfer: slot.get(memory, Word::Sequence),
        expected: [bad.expected, 0],
        found: [bad.found, 0],
    })
}

/// Whether the storm's history had a transfer with this salt and number, as far as it remembers.
pub(super) fn knows(
    memory: &impl Memory,
    plan: &Plan,
    control: u64,
    salt: u64,
    sequence: u64,
) -> bool {
    let salts = memory.load(control, words::SALTS);
    let oldest = salts.saturating_sub(SALTS_MAX);
    let pair = (oldest..salts)
        .rev()
        .map(|number| plan.salt(number))
        .find(|pair| memory.word(*pair) <= sequence);
    let is_past = sequence < memory.load(control, words::SEQUENCE);
    is_past && pair.map_or(oldest > 0, |pair| memory.word(pair + 8) == salt)
}

/// Whether words are still what they were before the device came.
fn has_poison(words: &[u64; SECTOR_WORDS], poison: &[u64; SECTOR_WORDS]) -> bool {
    words.iter().zip(poison).skip(HEADER_WORDS).any(|(word, poison)| word == poison)
}

impl<B: Bus> Storm<'_, B> {
    /// Nothing is known of the region but what the flags say.
    pub(super) fn forget_sectors(&mut self) {
        let expected = match self.plan.has(flag::ZEROS) {
            true => Expected::Zeros,
            false => Expected::Unknown,
        };
        for sector in self.plan.sector..self.plan.sector + self.plan.sectors {
            Shadow::idle(expected).store(self.bus, &self.plan, sector);
        }
    }
}
