//! The record of a slot: a transfer, and where its buffer lies.

use super::plan::Plan;
use crate::disk::{Operation, SEGMENTS_MAX, Segment};
use crate::memory::Memory;

/// A word of a slot's record.
#[derive(Clone, Copy)]
pub(super) enum Word {
    /// A [`State`].
    State = 0,
    /// The operation's number.
    Operation,
    Sector,
    Sectors,
    /// The transfer's number.
    Sequence,
    /// The salt that it writes with.
    Salt,
    /// 1 if its buffer was filled with poison.
    Poison,
    /// What the stamps beside its buffer follow from.
    Stamps,
    /// 0, or what the stamps that are being written follow from.
    NextStamps,
    /// Where the first stamp is.
    Start,
    /// Bytes of stamps after the last segment.
    Tail,
    /// How many segments; 0 if there never were any.
    Count,
    /// 0, or one more than the number of the given-up page that a read goes to.
    Target = 28,
}

const SEGMENTS: u64 = 12;

/// How far the transfer of a slot is.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum State {
    /// There is none.
    Free = 0,
    /// It is not available to the device yet.
    Prepared = 1,
    /// The device has it.
    Submitted = 2,
}

/// A slot of a storm.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    at: u64,
}

impl Slot {
    pub(super) fn new(plan: &Plan, number: u64) -> Self {
        Self { at: plan.slot(number) }
    }

    pub(super) fn get(self, memory: &impl Memory, word: Word) -> u64 {
        memory.word(self.at + word as u64 * 8)
    }

    pub(super) fn set(self, memory: &mut impl Memory, word: Word, value: u64) {
        memory.set_word(self.at + word as u64 * 8, value);
    }

    pub(super) fn is(self, memory: &impl Memory, state: State) -> bool {
        self.get(memory, Word::State) == state as u64
    }

    /// What it does. A slot was given only what there is.
    pub(super) fn operation(self, memory: &impl Memory) -> Operation {
        Operation::from_number(self.get(memory, Word::Operation)).unwrap_or(Operation::Flush)
    }

    pub(super) fn layout(self, memory: &impl Memory) -> Layout {
        let segment = |number: usize| {
            let at = self.at + (SEGMENTS + 2 * number as u64) * 8;
            Segment { address: memory.word(at), bytes: memory.word(at + 8) }
        };
        Layout {
            start: self.get(memory, Word::Start),
            tail: self.get(memory, Word::Tail),
            count: (self.get(memory, Word::Count) as usize).min(SEGMENTS_MAX),
            segments: core::array::from_fn(segment),
        }
    }

    pub(super) fn set_layout(self, memory: &mut impl Memory, layout: &Layout) {
        self.set(memory, Word::Start, layout.start);
        self.set(memory, Word::Tail, layout.tail);
        for (number, segment) in (0..).zip(layout.segments) {
            let at = self.at + (SEGMENTS + 2 * number) * 8;
            memory.set_word(at, segment.address);
            memory.set_word(at + 8, segment.bytes);
        }
        // Last: from here on the layout is looked at.
        self.set(memory, Word::Count, layout.count as u64);
    }
}

/// Segments with stamps before, between and after them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) start: u64,
    pub(super) tail: u64,
    pub(super) count: usize,
    pub(super) segments: [Segment; SEGMENTS_MAX],
}

impl Layout {
    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments[..self.count]
    }

    /// The runs of stamps: begin and end. There are none if there are no segments.
    pub(super) fn gaps(&self) -> impl Iterator<Item = (u64, u64)> {
        let end = |number: usize| self.segments[number].address + self.segments[number].bytes;
        (0..self.count + usize::from(self.count > 0)).map(move |number| {
            let from = if number == 0 { self.start } else { end(number - 1) };
            let to = match number == self.count {
                true => from + self.tail,
                false => self.segments[number].address,
            };
            (from, to)
        })
    }

    /// What follows byte `offset` of the data in the same segment.
    pub(super) fn find(&self, offset: u64) -> Option<Segment> {
        let mut skip = offset;
        for segment in self.segments() {
            if skip < segment.bytes {
                return Some(Segment {
                    address: segment.address + skip,
                    bytes: segment.bytes - skip,
                });
            }
            skip -= segment.bytes;
        }
        None
    }
}
