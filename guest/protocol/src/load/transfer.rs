//! One transfer of a load, from its preparation to its verification.

use super::content::{self, SECTOR_WORDS};
use super::run::{Load, LoadError};
use super::slot::{FREE, READS, Slot, WRITES, Word};
use super::words;
use crate::disk::{Bus, Completion, Operation, Request, SECTOR_BYTES, Segment};

impl<B: Bus> Load<'_, B> {
    /// Begins one transfer. `false` while others' requests take up the queue.
    pub(super) fn submit(&mut self, slot: u64, operation: Operation, block: u64) -> bool {
        let number = self.get(words::BEGUN);
        let shadow = self.plan.shadow(block);
        let base = match operation {
            Operation::Write => content::written(self.salt(), number),
            _ => self.bus.word(shadow),
        };
        // What a read must replace is wrong before it.
        let spoil = if operation == Operation::Write { 0 } else { u64::MAX };
        let (first, buffer) = (self.plan.first_sector(block), self.plan.buffer(slot));
        for index in 0..self.plan.block {
            let stamp = content::stamp(base, first + index) ^ spoil;
            let address = buffer + index * SECTOR_BYTES;
            self.bus.set_word(address, stamp);
            self.bus.set_word(address + SECTOR_BYTES - 8, !stamp);
        }
        let segments = [Segment { address: buffer, bytes: self.plan.block * SECTOR_BYTES }];
        let request =
            Request { operation, sector: first, sectors: 0, segments: &segments, token: slot };
        if self.disk.submit(self.bus, &request).is_err() {
            return false;
        }
        let record = Slot::new(&self.plan, slot);
        let state = if operation == Operation::Write { WRITES } else { READS };
        record.set(self.bus, Word::State, state);
        record.set(self.bus, Word::Block, block);
        record.set(self.bus, Word::Base, base);
        self.bus.set_word(shadow, base);
        self.set(words::BEGUN, number + 1);
        true
    }

    /// Takes all that has ended, and verifies it: all words, or the first and last of each sector.
    /// Whether there was any.
    pub(super) fn reap(&mut self, whole: bool) -> Result<bool, LoadError> {
        let mut any = false;
        while let Some(end) = self.disk.poll(self.bus).map_err(LoadError::Disk)? {
            any = true;
            self.ended(end, whole);
        }
        Ok(any)
    }

    fn ended(&mut self, end: Completion, whole: bool) {
        let record = Slot::new(&self.plan, end.token % self.plan.pattern.slots);
        let state = record.get(self.bus, Word::State);
        let (block, base) = (record.get(self.bus, Word::Block), record.get(self.bus, Word::Base));
        let bytes = if state == READS { self.plan.block * SECTOR_BYTES } else { 0 };
        record.set(self.bus, Word::State, FREE);
        let expected = [0, bytes + 1];
        let bad = match [u64::from(end.status), end.written] {
            found if found != expected => {
                let which = usize::from(found[0] == 0);
                Some([self.plan.first_sector(block), expected[which], found[which]])
            }
            _ if state == READS && base != 0 => {
                self.add(words::VERIFIED, 1);
                self.wrong_word(end.token, block, base, whole)
            }
            _ => None,
        };
        if let Some(bad) = bad {
            if self.get(words::BAD) == 0 {
                (words::BAD_SECTOR..).zip(bad).for_each(|(word, value)| self.set(word, value));
            }
            self.add(words::BAD, 1);
        }
        self.add(words::ENDED, 1);
    }

    /// The first word of a buffer that is not as it must be: its sector, what it must be, what it
    /// is.
    fn wrong_word(&self, slot: u64, block: u64, base: u64, whole: bool) -> Option<[u64; 3]> {
        let (first, buffer) = (self.plan.first_sector(block), self.plan.buffer(slot));
        for index in 0..self.plan.block {
            let (sector, address) = (first + index, buffer + index * SECTOR_BYTES);
            let stamp = content::stamp(base, sector);
            let ends = [(address, stamp), (address + SECTOR_BYTES - 8, !stamp)];
            let wrong = |(address, expected): (u64, u64)| {
                let found = self.bus.word(address);
                (found != expected).then_some([sector, expected, found])
            };
            if let Some(wrong) = ends.into_iter().find_map(wrong) {
                return Some(wrong);
            }
            if whole {
                let seed = self.plan.pattern.seed;
                let inner = (1..SECTOR_WORDS - 1)
                    .map(|index| (address + index as u64 * 8, content::body(seed, index)));
                if let Some(wrong) = inner.into_iter().find_map(wrong) {
                    return Some(wrong);
                }
            }
        }
        None
    }
}
