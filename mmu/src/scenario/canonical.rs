//! When two states are the same: all that the future depends on, with the names taken out.
//!
//! A state is a *structure* (who maps, pins and holds which frame, and how) and, for every way in
//! which a guest or a device can look at a frame, how the frame's bytes *relate* to the memory that
//! the checker keeps for its owner. The stamps themselves are left out, which is what makes the
//! states finitely many. That loses nothing:
//!
//! - A look is judged by whether its owner ever held the stamp, whether it is the owner's latest,
//!   and, for a short pin, whether it is older than the pin. Those are the bits of [`Relation`].
//! - A write leaves a stamp that nobody held before and that is above all others. So it makes the
//!   frame foreign to everybody but the writer's owner, current for that one, and every other frame
//!   that this owner can see outdated: the new bits follow from the old ones.
//! - A guest comes to a frame only by copying one that it maps already, by being forked from
//!   somebody who maps it (whose memory it inherits), or by its device pinning the one it maps. The
//!   new relation is that of the old way to look. At pin time the bytes are either foreign, or the
//!   latest, or older than the latest, so "older than the pin" follows too.
//!
//! What a rule set never asks for is left out as well (see [`Masks`]). Of the orders of guests and
//! pins, the one with the least encoding counts, so that states which differ only in who is called
//! what are one state; under a set that waits, pins are drained in the order in which they were
//! taken, and keep it.

use super::{AnyPin, Model, Owner, Page, PinRecord, Runner};
use crate::count::Holder;
use crate::rules::{Direction, Duration, RuleSet};
use crate::space::{AddressSpace, Hold};
use crate::table::{Entry, LayerId, Mapped};

#[cfg(test)]
mod tests;

/// A state without its names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(Box<[u8]>);

/// A state with its guests and pins in the order of the runner. Two steps of one run that show the
/// same one are the same state, and every guest and pin stands in it where it stood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plain(Vec<u8>);

/// What a rule set cannot tell apart.
#[derive(Clone, Copy)]
struct Masks {
    private_bit: bool,
    counted: bool,
    duration: bool,
    order: bool,
}

impl Masks {
    fn of(set: RuleSet) -> Self {
        let waits = set == RuleSet::Wait;
        Self {
            private_bit: set.has_private_bit(),
            counted: set.has_private_bit() || matches!(set, RuleSet::Refcount | RuleSet::PinBias),
            duration: waits || set == RuleSet::ShortRead,
            order: waits,
        }
    }
}

/// How the bytes of a frame relate to the memory of somebody who can look at it.
fn relation(runner: &Runner<'_, Model>, owner: Owner, bytes: Page) -> u8 {
    let memory = runner.checker().memory(owner);
    let sector = |held: bool, latest: bool| match (held, latest && memory.lives) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => 2,
    };
    sector(memory.held_in_a(bytes.a), bytes.a == memory.ideal.a)
        | sector(memory.held_in_b(bytes.b), bytes.b == memory.ideal.b) << 2
}

/// One guest, in values.
struct GuestView {
    owner: Owner,
    /// Kind of entry, with its bits.
    kind: u8,
    frame: Option<LayerId>,
    relation: u8,
    held: Option<LayerId>,
}

/// One pin, in values.
struct PinView {
    owner: Owner,
    kind: u8,
    frame: LayerId,
    relation: u8,
}

/// A state in values, before its names are taken out.
pub(super) struct View {
    guests: Vec<GuestView>,
    pins: Vec<PinView>,
    pins_keep_order: bool,
}

impl View {
    /// The state that `runner` is in.
    pub(super) fn of(runner: &Runner<'_, Model>) -> Self {
        let masks = Masks::of(runner.place().family().rules().set);
        let guests = runner
            .guests()
            .map(|(name, space, owner)| guest(runner, masks, space, owner, runner.hold(name)))
            .collect();
        let pins = runner.pins().map(|(_, at, record)| pin(runner, masks, at, record)).collect();
        Self { guests, pins, pins_keep_order: masks.order }
    }

    /// The encoding in the order of the runner.
    pub(super) fn plain(&self) -> Plain {
        let mut code = Code::default();
        code.state(self, 0..self.guests.len(), 0..self.pins.len());
        Plain(code.bytes)
    }

    /// The least encoding.
    pub(super) fn key(&self) -> Key {
        let (mut least, mut code) = (Code::default(), Code::default());
        let mut guests: Vec<_> = (0..self.guests.len()).collect();
        let mut pins: Vec<_> = (0..self.pins.len()).collect();
        each_order(&mut guests, 0, &mut |guests| {
            let mut encode = |pins: &[usize]| {
                code.state(self, guests.iter().copied(), pins.iter().copied());
                if least.bytes.is_empty() || code.bytes < least.bytes {
                    std::mem::swap(&mut least, &mut code);
                }
            };
            if self.pins_keep_order {
                encode(&pins);
            } else {
                each_order(&mut pins, 0, &mut encode);
            }
        });
        Key(least.bytes.into())
    }
}

fn guest(
    runner: &Runner<'_, Model>,
    masks: Masks,
    space: &AddressSpace<crate::fake::Fake>,
    owner: Owner,
    hold: Option<&Hold<crate::fake::Fake>>,
) -> GuestView {
    let lab = runner.place();
    let bits = |writable: bool, private: bool| {
        u8::from(writable) << 1 | u8::from(private && masks.private_bit)
    };
    let (kind, frame) = match space.entry(lab.gfn()) {
        Ok(Entry::Mapped(Mapped { layer, writable, private })) => {
            (0x10 | bits(writable, private), Some(layer))
        }
        Ok(Entry::Swapped { slot, private }) => {
            let slot = *lab.family().swap.lock().slot(slot);
            let written_out = u8::from(slot.place.is_some()) << 2;
            (0x20 | written_out | bits(false, private), Some(slot.layer))
        }
        Ok(Entry::Empty) | Err(_) => (0x30, None),
    };
    let relation = frame.map_or(0, |frame| relation(runner, owner, lab.content(frame)));
    GuestView { owner, kind, frame, relation, held: hold.map(|hold| hold.frame().0.id()) }
}

fn pin(
    runner: &Runner<'_, Model>,
    masks: Masks,
    pin: &AnyPin<crate::fake::Fake>,
    record: &PinRecord,
) -> PinView {
    let frame = pin.frame().0.id();
    let bytes = runner.place().content(frame);
    let counted = masks.counted && matches!(pin.holder(), Holder::Pin(..));
    let short = record.duration == Duration::Short;
    let ruled_short = masks.duration && short && pin.direction() == Direction::ToDevice;
    let judged_short = short && runner.checker().memory(record.owner).lives;
    let since_pin = |bit: bool| u8::from(judged_short && bit);
    PinView {
        owner: record.owner,
        kind: u8::from(pin.direction() == Direction::FromDevice)
            | u8::from(counted) << 1
            | u8::from(ruled_short) << 2
            | u8::from(judged_short) << 3,
        frame,
        relation: relation(runner, record.owner, bytes)
            | since_pin(bytes.a >= record.at_pin.a) << 4
            | since_pin(bytes.b >= record.at_pin.b) << 5,
    }
}

/// Calls `visit` with every order of `items`, of which the first `fixed` stay.
fn each_order(items: &mut [usize], fixed: usize, visit: &mut impl FnMut(&[usize])) {
    if fixed + 1 >= items.len() {
        return visit(items);
    }
    for next in fixed..items.len() {
        items.swap(fixed, next);
        each_order(items, fixed + 1, visit);
        items.swap(fixed, next);
    }
}

/// An encoding in the making: frames and owners are numbered in the order in which they are met.
#[derive(Default)]
struct Code {
    bytes: Vec<u8>,
    frames: Vec<LayerId>,
    owners: Vec<Owner>,
}

fn number<T: PartialEq>(met: &mut Vec<T>, item: T) -> u8 {
    let known = met.iter().position(|other| *other == item);
    let at = known.unwrap_or_else(|| {
        met.push(item);
        met.len() - 1
    });
    u8::try_from(at).unwrap_or(u8::MAX)
}

impl Code {
    fn state(
        &mut self,
        view: &View,
        guests: impl Iterator<Item = usize>,
        pins: impl Iterator<Item = usize>,
    ) {
        self.bytes.clear();
        self.frames.clear();
        self.owners.clear();
        self.bytes.push(u8::try_from(view.guests.len()).unwrap_or(u8::MAX));
        for guest in guests.map(|at| &view.guests[at]) {
            // Living guests are all different owners: only that later pins may refer to them.
            number(&mut self.owners, guest.owner);
            let frame = self.frame(guest.frame);
            let held = self.frame(guest.held);
            self.bytes.extend([guest.kind, frame, guest.relation, held]);
        }
        for pin in pins.map(|at| &view.pins[at]) {
            let owner = number(&mut self.owners, pin.owner);
            let frame = self.frame(Some(pin.frame));
            self.bytes.extend([pin.kind, owner, frame, pin.relation]);
        }
    }

    fn frame(&mut self, layer: Option<LayerId>) -> u8 {
        layer.map_or(u8::MAX, |layer| number(&mut self.frames, layer))
    }
}
