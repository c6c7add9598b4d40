//! The split queue in RAM: descriptors and their free list, what is available, what was used.
//!
//! The driver alone writes descriptors and the available ring, so their 16-bit fields are written
//! with the word around them. The used ring is the device's, and only read.

use core::sync::atomic::{Ordering, fence};

use super::feature;
use super::layout::{DESCRIPTOR, Place, State};
use crate::memory::Memory;

const NEXT: u64 = 1;
const DEVICE_WRITES: u64 = 2;
const IN_TABLE: u64 = 4;
/// In the available ring's flags: no interrupts, please.
const NO_INTERRUPT: u64 = 1;
/// In the used ring's flags: no doorbells, please.
const NO_NOTIFY: u64 = 1;

/// One descriptor's worth of memory.
#[derive(Clone, Copy, Default)]
pub(super) struct Part {
    pub(super) address: u64,
    pub(super) bytes: u64,
    pub(super) device_writes: bool,
}

/// A used element.
pub(super) struct Used {
    pub(super) head: u64,
    pub(super) written: u64,
}

/// The queue of one device.
pub(super) struct Ring<'a, M> {
    pub(super) memory: &'a mut M,
    pub(super) place: Place,
}

impl<M: Memory> Ring<'_, M> {
    fn get(&self, word: State) -> u64 {
        self.place.get(self.memory, word)
    }

    fn set(&mut self, word: State, value: u64) {
        self.place.set(self.memory, word, value);
    }

    fn agreed(&self, bit: u64) -> bool {
        self.get(State::Features) >> bit & 1 != 0
    }

    /// An empty queue of `size` entries, over a place of zeros.
    pub(super) fn format(&mut self, size: u64) {
        for index in 0..size {
            self.describe(self.place.descriptors(), index, Part::default(), Some(index + 1));
        }
        self.set(State::Size, size);
        self.set(State::Free, size);
        self.set_half(self.place.available(), NO_INTERRUPT);
        self.want_no_interrupts();
    }

    /// Takes descriptors and writes a chain of `parts`. The head, or `None` if too few are free.
    pub(super) fn put(&mut self, parts: &[Part]) -> Option<u64> {
        let indirect = self.agreed(feature::INDIRECT);
        let needed = if indirect { 1 } else { parts.len() as u64 };
        let free = self.get(State::Free).checked_sub(needed)?;
        let head = self.get(State::FreeHead);
        let table = self.place.descriptors();
        let mut index = head;
        if indirect {
            let table = self.place.table(head);
            for (number, part) in (0..).zip(parts) {
                let next = (number + 1 < parts.len() as u64).then_some(number + 1);
                self.describe(table, number, *part, next);
            }
            let bytes = parts.len() as u64 * DESCRIPTOR;
            index = self.next_of(table_entry(self.place.descriptors(), head));
            self.write(
                self.place.descriptors(),
                head,
                [table, bytes | IN_TABLE << 32 | index << 48],
            );
        } else {
            for (number, part) in (1..).zip(parts) {
                let next = self.next_of(table_entry(table, index));
                self.describe(table, index, *part, Some(next));
                if number == parts.len() {
                    // The number of the next free one stays in a field that is not looked at.
                    let entry = table_entry(table, index) + 8;
                    self.memory.set_word(entry, self.memory.word(entry) & !(NEXT << 32));
                }
                index = next;
            }
        }
        self.set(State::FreeHead, index);
        self.set(State::Free, free);
        Some(head)
    }

    /// Makes a chain available. The doorbell is not rung.
    pub(super) fn offer(&mut self, head: u64) {
        let available = self.get(State::Available);
        let slot = self.place.available() + 4 + 2 * (available % self.get(State::Size));
        self.set_half(slot, head);
        fence(Ordering::Release);
        self.set(State::Available, available + 1);
        self.set_half(self.place.available() + 2, available + 1);
    }

    /// Whether the device wants a doorbell for what was made available since the last call.
    pub(super) fn should_tell(&mut self) -> bool {
        let (old, new) = (self.get(State::Told) as u16, self.get(State::Available) as u16);
        if old == new {
            return false;
        }
        self.set(State::Told, self.get(State::Available));
        // The device must see the new index, or the driver the device's wish.
        fence(Ordering::SeqCst);
        if self.agreed(feature::EVENT_IDX) {
            let event = self.half(self.place.used() + 4 + 8 * self.get(State::Size)) as u16;
            return new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old);
        }
        self.half(self.place.used()) & NO_NOTIFY == 0
    }

    /// The next used element.
    pub(super) fn take_used(&mut self) -> Option<Used> {
        let seen = self.get(State::Seen);
        if self.half(self.place.used() + 2) as u16 == seen as u16 {
            return None;
        }
        fence(Ordering::Acquire);
        let element = self.place.used() + 4 + 8 * (seen % self.get(State::Size));
        let number = self.memory.bytes(element);
        self.set(State::Seen, seen + 1);
        self.want_no_interrupts();
        Some(Used { head: number & 0xffff_ffff, written: number >> 32 })
    }

    /// Gives the descriptors of a chain back.
    pub(super) fn free(&mut self, head: u64) {
        let table = self.place.descriptors();
        let (mut last, mut count) = (head, 1);
        while self.memory.word(table_entry(table, last) + 8) >> 32 & NEXT != 0 {
            last = self.next_of(table_entry(table, last));
            count += 1;
        }
        let free_head = self.get(State::FreeHead);
        self.describe(table, last, Part::default(), Some(free_head));
        self.set(State::FreeHead, head);
        self.set(State::Free, self.get(State::Free) + count);
    }

    /// An event as far away as there can be.
    fn want_no_interrupts(&mut self) {
        if self.agreed(feature::EVENT_IDX) {
            let place = self.place.available() + 4 + 2 * self.get(State::Size);
            let seen = self.get(State::Seen);
            self.set_half(place, seen.wrapping_sub(1));
        }
    }

    fn next_of(&self, entry: u64) -> u64 {
        self.memory.word(entry + 8) >> 48
    }

    fn describe(&mut self, table: u64, index: u64, part: Part, next: Option<u64>) {
        let mut flags = if part.device_writes { DEVICE_WRITES } else { 0 };
        if next.is_some() {
            flags |= NEXT;
        }
        let rest = part.bytes | flags << 32 | next.unwrap_or(0) << 48;
        self.write(table, index, [part.address, rest]);
    }

    fn write(&mut self, table: u64, index: u64, words: [u64; 2]) {
        let entry = table_entry(table, index);
        self.memory.set_word(entry, words[0]);
        self.memory.set_word(entry + 8, words[1]);
    }

    /// 16 bits, at an even address.
    fn half(&self, address: u64) -> u64 {
        self.memory.word(address & !7) >> ((address & 7) * 8) & 0xffff
    }

    /// Writes 16 bits, at an even address of a word that the device does not write.
    fn set_half(&mut self, address: u64, value: u64) {
        let (place, shift) = (address & !7, (address & 7) * 8);
        let word = self.memory.word(place) & !(0xffff << shift);
        self.memory.set_word(place, word | (value & 0xffff) << shift);
    }
}

fn table_entry(table: u64, index: u64) -> u64 {
    table + index * DESCRIPTOR
}
