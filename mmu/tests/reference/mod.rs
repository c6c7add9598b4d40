//! A model of one page that has nothing in common with the core but the names of the sets.
//!
//! It has no counts: it looks for whoever leads to a frame each time that it wants to know.

use pincow_mmu::rules::{Direction, Duration, PIN_BIAS, RuleSet};
use pincow_mmu::scenario::{Attempt, Page, Place, Refusal, Stamp};

/// Something that the reference does wrong, to see that the comparison would see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Twist {
    /// Nothing.
    None,
    /// Host references that are no pins do not raise a count.
    HoldsDoNotCount,
    /// The swap cache does not raise a count.
    SwapDoesNotCount,
    /// A copy begins as zeros.
    CopyForgets,
}

#[derive(Clone, Copy)]
enum At {
    Frame { frame: usize, writable: bool },
    Slot(usize),
}

#[derive(Clone, Copy)]
struct Entry {
    at: At,
    private: bool,
}

#[derive(Clone, Copy)]
struct Pin {
    frame: usize,
    writes: bool,
    short: bool,
    counted: bool,
}

/// Evicted content: the frame that is its cache, or the bytes alone.
struct Slot {
    bytes: Page,
    cache: Option<usize>,
}

/// The reference model. What is gone leaves `None` behind, so that numbers are never used twice.
pub(crate) struct Reference {
    set: RuleSet,
    twist: Twist,
    frames: Vec<Page>,
    slots: Vec<Slot>,
    guests: Vec<Option<Entry>>,
    pins: Vec<Option<Pin>>,
    holds: Vec<Option<usize>>,
    copies: u64,
}

/// The reference never fails.
#[derive(Debug, thiserror::Error)]
#[error("cannot be")]
pub(crate) struct Never;

fn push<T>(list: &mut Vec<T>, item: T) -> usize {
    list.push(item);
    list.len() - 1
}

impl Reference {
    pub(crate) fn new(set: RuleSet, twist: Twist) -> Self {
        let (frames, slots, guests) = Default::default();
        let (pins, holds, copies) = Default::default();
        Self { set, twist, frames, slots, guests, pins, holds, copies }
    }

    fn entry(&self, guest: usize) -> Entry {
        self.guests[guest].expect("a guest that lives")
    }

    fn has_private_bit(&self) -> bool {
        matches!(self.set, RuleSet::Exclusive | RuleSet::Wait | RuleSet::ShortRead)
    }

    fn to_the_letter(&self) -> bool {
        matches!(self.set, RuleSet::SingleRefcount | RuleSet::Literal | RuleSet::Busy)
    }

    fn maps(&self, frame: usize) -> usize {
        let leads = |entry: &&Entry| matches!(entry.at, At::Frame { frame: at, .. } if at == frame);
        self.guests.iter().flatten().filter(leads).count()
    }

    fn sharers(&self, slot: usize) -> usize {
        let leads = |entry: &&Entry| matches!(entry.at, At::Slot(at) if at == slot);
        self.guests.iter().flatten().filter(leads).count()
    }

    fn slot_of(&self, frame: usize) -> Option<usize> {
        (0..self.slots.len())
            .find(|&slot| self.slots[slot].cache == Some(frame) && self.sharers(slot) > 0)
    }

    fn is_cached(&self, frame: usize) -> bool {
        self.twist != Twist::SwapDoesNotCount && self.slot_of(frame).is_some()
    }

    fn pins_on(&self, frame: usize) -> impl Iterator<Item = &Pin> {
        self.pins.iter().flatten().filter(move |pin| pin.frame == frame)
    }

    fn counted_on(&self, frame: usize) -> impl Iterator<Item = &Pin> {
        self.pins_on(frame).filter(|pin| pin.counted)
    }

    fn holds_on(&self, frame: usize) -> usize {
        self.holds.iter().flatten().filter(|at| **at == frame).count()
    }

    fn refs(&self, frame: usize) -> usize {
        let bias = if self.set == RuleSet::PinBias { PIN_BIAS as usize } else { 1 };
        let pins = self.pins_on(frame).map(|pin| if pin.counted { bias } else { 1 });
        let holds = if self.twist == Twist::HoldsDoNotCount { 0 } else { self.holds_on(frame) };
        self.maps(frame) + pins.sum::<usize>() + holds + usize::from(self.is_cached(frame))
    }

    fn is_pinned(&self, frame: usize) -> bool {
        match self.set {
            RuleSet::PinBias => self.refs(frame) >= PIN_BIAS as usize,
            RuleSet::Mapcount => false,
            _ => self.counted_on(frame).next().is_some(),
        }
    }

    /// Reads an evicted page back. Frame, writable, private.
    fn present(&mut self, guest: usize) -> (usize, bool, bool) {
        let entry = self.entry(guest);
        let slot = match entry.at {
            At::Frame { frame, writable } => return (frame, writable, entry.private),
            At::Slot(slot) => slot,
        };
        let bytes = self.slots[slot].bytes;
        let frame = self.slots[slot].cache.unwrap_or_else(|| push(&mut self.frames, bytes));
        self.slots[slot].cache = Some(frame);
        self.guests[guest] = Some(Entry { at: At::Frame { frame, writable: false }, ..entry });
        (frame, false, entry.private)
    }

    fn copy(&mut self, frame: usize) -> usize {
        self.copies += 1;
        let forgets = self.twist == Twist::CopyForgets;
        let bytes = if forgets { Page::default() } else { self.frames[frame] };
        push(&mut self.frames, bytes)
    }

    fn write_fault(&mut self, guest: usize) -> Result<usize, Refusal> {
        let (frame, writable, private) = self.present(guest);
        if writable {
            return Ok(frame);
        }
        let keep = match self.set {
            RuleSet::Mapcount => self.maps(frame) == 1 && !self.is_cached(frame),
            _ => self.refs(frame) == 1 || self.has_private_bit() && private,
        };
        let left_behind = self.counted_on(frame).any(|pin| pin.short && !pin.writes);
        if !keep && self.set == RuleSet::Wait && left_behind {
            return Err(Refusal::Wait);
        }
        let frame = if keep { frame } else { self.copy(frame) };
        let at = At::Frame { frame, writable: true };
        self.guests[guest] = Some(Entry { at, private: true });
        Ok(frame)
    }

    /// Whether a fork copies the frame for the child.
    fn copies_for_child(
        &self,
        frame: usize,
        writable: bool,
        private: bool,
    ) -> Result<bool, Refusal> {
        let writes = self.counted_on(frame).any(|pin| pin.writes);
        let long_read = self.counted_on(frame).any(|pin| !pin.writes && !pin.short);
        let reserved = writable && self.refs(frame) > 1;
        match self.set {
            RuleSet::SingleRefcount | RuleSet::Literal => Ok(reserved),
            RuleSet::Busy if reserved => Err(Refusal::Busy),
            RuleSet::Busy | RuleSet::Mapcount => Ok(false),
            RuleSet::Refcount | RuleSet::PinBias => Ok(self.is_pinned(frame)),
            RuleSet::Exclusive => Ok(self.is_pinned(frame) && private),
            RuleSet::Wait if writes => Err(Refusal::Wait),
            RuleSet::Wait => Ok(long_read && private),
            RuleSet::ShortRead => Ok(writes || long_read && private),
        }
    }
}

impl Place for Reference {
    type Guest = usize;
    type Pin = usize;
    type Hold = usize;
    type Error = Never;

    fn root(&mut self) -> Result<usize, Never> {
        let frame = push(&mut self.frames, Page::default());
        let entry = Entry { at: At::Frame { frame, writable: true }, private: true };
        Ok(push(&mut self.guests, Some(entry)))
    }

    fn write(&mut self, guest: &usize, stamp: Stamp) -> Attempt<(), Self> {
        let frame = self.write_fault(*guest)?;
        self.frames[frame].b = stamp;
        Ok(())
    }

    fn read(&mut self, guest: &usize) -> Attempt<Page, Self> {
        let (frame, ..) = self.present(*guest);
        Ok(self.frames[frame])
    }

    fn fork(&mut self, parent: &usize) -> Attempt<usize, Self> {
        let entry = self.entry(*parent);
        let shared = match entry.at {
            At::Slot(_) => Entry { private: false, ..entry },
            At::Frame { frame, writable } => {
                if self.copies_for_child(frame, writable, entry.private)? {
                    let frame = self.copy(frame);
                    let own = Entry { at: At::Frame { frame, writable: true }, private: true };
                    return Ok(push(&mut self.guests, Some(own)));
                }
                Entry { at: At::Frame { frame, writable: false }, private: false }
            }
        };
        self.guests[*parent] = Some(shared);
        Ok(push(&mut self.guests, Some(shared)))
    }

    fn destroy(&mut self, guest: usize) -> Result<(), Never> {
        self.guests[guest] = None;
        Ok(())
    }

    fn pin(
        &mut self,
        guest: &usize,
        direction: Direction,
        duration: Duration,
        counted: bool,
    ) -> Attempt<usize, Self> {
        let (mut frame, _, private) = self.present(*guest);
        let (writes, short) = (direction == Direction::FromDevice, duration == Duration::Short);
        if writes || self.set == RuleSet::SingleRefcount {
            frame = self.write_fault(*guest)?;
        } else if self.has_private_bit() && counted && !private {
            if self.refs(frame) == 1 {
                self.guests[*guest] = Some(Entry { private: true, ..self.entry(*guest) });
            } else if self.set == RuleSet::Exclusive || !short {
                frame = self.copy(frame);
                let at = At::Frame { frame, writable: false };
                self.guests[*guest] = Some(Entry { at, private: true });
            }
        }
        Ok(push(&mut self.pins, Some(Pin { frame, writes, short, counted })))
    }

    fn unpin(&mut self, pin: usize) -> Result<(), Never> {
        self.pins[pin] = None;
        Ok(())
    }

    fn dma_write(&mut self, pin: &usize, stamp: Stamp) -> Result<(), Never> {
        self.frames[self.pins[*pin].expect("a pin that lives").frame].a = stamp;
        Ok(())
    }

    fn dma_read(&mut self, pin: &usize) -> Result<Page, Never> {
        Ok(self.frames[self.pins[*pin].expect("a pin that lives").frame])
    }

    fn write_protect(&mut self, guest: &usize) -> Attempt<(), Self> {
        let entry = self.entry(*guest);
        if let At::Frame { frame, writable } = entry.at {
            if self.to_the_letter() && writable && self.refs(frame) > 1 {
                return Err(Refusal::Busy.into());
            }
            self.guests[*guest] = Some(Entry { at: At::Frame { frame, writable: false }, ..entry });
        }
        Ok(())
    }

    fn evict(&mut self, guest: &usize) -> Attempt<(), Self> {
        let At::Frame { frame, writable } = self.entry(*guest).at else { return Ok(()) };
        if self.to_the_letter() {
            if writable && self.refs(frame) > 1 {
                return Err(Refusal::Busy.into());
            }
        } else if self.is_pinned(frame) {
            let waits = self.set == RuleSet::Wait;
            return Err(if waits { Refusal::Wait } else { Refusal::Busy }.into());
        }
        let stays = self.pins_on(frame).next().is_some() || self.holds_on(frame) > 0;
        let slot = self
            .slot_of(frame)
            .unwrap_or_else(|| push(&mut self.slots, Slot { bytes: Page::default(), cache: None }));
        self.slots[slot] = Slot { bytes: self.frames[frame], cache: stays.then_some(frame) };
        for entry in self.guests.iter_mut().flatten() {
            if matches!(entry.at, At::Frame { frame: at, .. } if at == frame) {
                entry.at = At::Slot(slot);
            }
        }
        Ok(())
    }

    fn hold(&mut self, guest: &usize) -> Attempt<usize, Self> {
        let (frame, ..) = self.present(*guest);
        Ok(push(&mut self.holds, Some(frame)))
    }

    fn release(&mut self, hold: usize) {
        self.holds[hold] = None;
    }

    fn copies(&self) -> u64 {
        self.copies
    }
}
