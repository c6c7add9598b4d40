//! When two states are the same: all that the future depends on, with the names taken out.
//!
//! Frames, stamps, guests and pins are numbered in the order in which they are met, and the least
//! of the encodings over all orders of guests and pins counts. A stamp that is in no frame can never
//! be seen again, so all such stamps are one, and histories matter only where they say which of the
//! others a guest has held.

use std::hash::Hash;

use super::{AnyPin, Model, Owner, Page, PinRecord, Runner, Stamp};
use crate::count::Holder;
use crate::fake::Fake;
use crate::rules::Duration;
use crate::space::{AddressSpace, Hold};
use crate::table::{Entry, LayerId, SlotId};

/// A state without its names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(Box<[u8]>);

struct Guest<'a> {
    space: &'a AddressSpace<Fake>,
    owner: Owner,
    hold: Option<&'a Hold<Fake>>,
}

/// The key of the state that `runner` is in.
pub(super) fn canonical(runner: &Runner<'_, Model>) -> Key {
    let guests: Vec<_> = runner
        .guests()
        .map(|(name, space, owner)| Guest { space, owner, hold: runner.hold(name) })
        .collect();
    let pins: Vec<_> = runner.pins().map(|(_, pin, record)| (pin, record)).collect();
    let mut least: Option<Vec<u8>> = None;
    for guest_order in orders(guests.len()) {
        for pin_order in orders(pins.len()) {
            let mut code = Code::new(runner);
            let guests = guest_order.iter().map(|&at| &guests[at]);
            let pins = pin_order.iter().map(|&at| pins[at]);
            code.guests(guests.clone());
            code.pins(pins.clone());
            code.memories(guests, pins);
            code.histories();
            if least.as_ref().is_none_or(|least| code.bytes < *least) {
                least = Some(code.bytes);
            }
        }
    }
    Key(least.unwrap_or_default().into())
}

/// All orders of `n` things.
fn orders(n: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for next in 0..n {
        orders = orders
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..=next).map(move |at| {
                    let mut longer = order.clone();
                    longer.insert(at, next);
                    longer
                })
            })
            .collect();
    }
    orders
}

/// An encoding in the making.
struct Code<'a, 'p> {
    runner: &'a Runner<'p, Model>,
    bytes: Vec<u8>,
    frames: Vec<LayerId>,
    slots: Vec<SlotId>,
    stamps: Vec<Stamp>,
    owners: Vec<Owner>,
}

/// The number of `item`: its place in the order in which such items were met.
fn number<T: PartialEq>(met: &mut Vec<T>, item: T) -> (u8, bool) {
    let known = met.iter().position(|other| *other == item);
    let at = known.unwrap_or_else(|| {
        met.push(item);
        met.len() - 1
    });
    (u8::try_from(at).unwrap_or(u8::MAX), known.is_none())
}

impl<'a, 'p> Code<'a, 'p> {
    fn new(runner: &'a Runner<'p, Model>) -> Self {
        Self {
            runner,
            bytes: Vec::with_capacity(64),
            frames: Vec::new(),
            slots: Vec::new(),
            stamps: Vec::new(),
            owners: Vec::new(),
        }
    }

    /// What somebody remembers: which of the stamps in frames, if it is one of them. Comes after
    /// all frames.
    fn memory(&mut self, page: Page) {
        for stamp in [page.a, page.b] {
            let known = self.stamps.iter().position(|other| *other == stamp);
            self.bytes.push(known.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX));
        }
    }

    fn owner(&mut self, owner: Owner) {
        let (number, _) = number(&mut self.owners, owner);
        self.bytes.push(number);
    }

    /// A frame, with its content where it is met first.
    fn frame(&mut self, layer: LayerId) {
        let (number, new) = number(&mut self.frames, layer);
        self.bytes.push(number);
        if new {
            for stamp in self.runner.lab().content(layer) {
                let (number, _) = self::number(&mut self.stamps, Stamp(stamp));
                self.bytes.push(number);
            }
        }
    }

    fn slot(&mut self, id: SlotId) {
        let (number, new) = number(&mut self.slots, id);
        self.bytes.push(number);
        if new {
            let slot = *self.runner.lab().family().swap.lock().slot(id);
            self.bytes.push(u8::from(slot.place.is_some()));
            self.frame(slot.layer);
        }
    }

    fn guests<'g>(&mut self, guests: impl Iterator<Item = &'g Guest<'g>>) {
        for guest in guests {
            self.owner(guest.owner);
            let gfn = self.runner.lab().gfn();
            match guest.space.entry(gfn) {
                Ok(Entry::Mapped(entry)) => {
                    self.bytes.push(0x10 | u8::from(entry.writable) << 1 | u8::from(entry.private));
                    self.frame(entry.layer);
                }
                Ok(Entry::Swapped { slot, private }) => {
                    self.bytes.push(0x20 | u8::from(private));
                    self.slot(slot);
                }
                Ok(Entry::Empty) | Err(_) => self.bytes.push(0x30),
            }
            if let Some(hold) = guest.hold {
                self.bytes.push(0x40);
                self.frame(hold.frame().0.id());
            }
        }
    }

    fn pins<'g>(&mut self, pins: impl Iterator<Item = (&'g AnyPin<Fake>, &'g PinRecord)>) {
        for (pin, record) in pins {
            let kind = match pin.holder() {
                Holder::Pin(_, Duration::Short) => 1,
                Holder::Pin(_, Duration::Long) => 2,
                _ => 3,
            };
            let short = u8::from(record.duration == Duration::Short);
            self.bytes.push(0x80 | kind << 2 | short << 1 | u8::from(matches!(pin, AnyPin::To(_))));
            self.owner(record.owner);
            self.frame(pin.frame().0.id());
        }
    }

    /// What the checker will compare with: the ideal pages, and for a short pin, which may show
    /// them, the bytes of its time.
    fn memories<'g>(
        &mut self,
        guests: impl Iterator<Item = &'g Guest<'g>>,
        pins: impl Iterator<Item = (&'g AnyPin<Fake>, &'g PinRecord)>,
    ) {
        for guest in guests {
            self.memory(self.runner.checker().memory(guest.owner).ideal);
        }
        for (_, record) in pins {
            let lives = self.runner.checker().memory(record.owner).lives;
            if lives && record.duration == Duration::Short {
                self.memory(record.at_pin);
            }
        }
    }

    /// Which owner has held which of the stamps that are in frames.
    fn histories(&mut self) {
        for owner in std::mem::take(&mut self.owners) {
            let memory = self.runner.checker().memory(owner);
            self.bytes.push(u8::from(memory.lives));
            let held = self.stamps.iter().map(|&stamp| {
                u8::from(memory.held_in_a(stamp)) << 1 | u8::from(memory.held_in_b(stamp))
            });
            self.bytes.extend(held.collect::<Vec<_>>());
        }
    }
}
