//! Which names live at a point of a script, if every operation before it succeeded.

use std::collections::{BTreeMap, BTreeSet};

use super::malformed::Kind;
use super::{Name, Op, ROOT, Reason};
use crate::rules::Direction;

/// The names of one scenario, operation by operation.
///
/// What really lives while a script runs is part of this: refusals and drains only take away.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The guests that live, and whether the host holds their page.
    guests: BTreeMap<Name, bool>,
    /// The pins that live.
    pins: BTreeMap<Name, Direction>,
    /// Names that lived once; some may live again.
    past_guests: BTreeSet<Name>,
    past_pins: BTreeSet<Name>,
}

impl Default for Scope {
    fn default() -> Self {
        Self::new()
    }
}

impl Scope {
    /// The start of a scenario: there is [`ROOT`], and nothing else.
    #[must_use]
    pub fn new() -> Self {
        Self {
            guests: BTreeMap::from([(ROOT.to_owned(), false)]),
            pins: BTreeMap::new(),
            past_guests: BTreeSet::new(),
            past_pins: BTreeSet::new(),
        }
    }

    /// A point where these guests live, held or not, and these pins.
    pub fn of(
        guests: impl Iterator<Item = (Name, bool)>,
        pins: impl Iterator<Item = (Name, Direction)>,
    ) -> Self {
        Self {
            guests: guests.collect(),
            pins: pins.collect(),
            past_guests: BTreeSet::new(),
            past_pins: BTreeSet::new(),
        }
    }

    /// The operations of `ops` that make sense, one after the other; the others are left out.
    #[must_use]
    pub fn admissible(ops: &[Op]) -> Vec<Op> {
        let mut scope = Self::new();
        ops.iter().filter(|op| scope.admit(op).is_ok()).cloned().collect()
    }

    /// Moves past `op`, or tells why it cannot stand here and stays where it was.
    pub fn admit(&mut self, op: &Op) -> Result<(), Reason> {
        match op {
            Op::Write(guest) | Op::Read(guest) | Op::WriteProtect(guest) | Op::Evict(guest) => {
                self.held(guest)?;
            }
            Op::Fork { parent, child } => {
                self.held(parent)?;
                if self.guests.contains_key(child) {
                    return Err(Reason::Taken { kind: Kind::Guest, name: child.clone() });
                }
                self.guests.insert(child.clone(), false);
            }
            Op::Destroy(guest) => {
                self.held(guest)?;
                self.guests.remove(guest);
                self.past_guests.insert(guest.clone());
            }
            Op::Pin { guest, direction, pin, .. } => {
                self.held(guest)?;
                if self.pins.contains_key(pin) {
                    return Err(Reason::Taken { kind: Kind::Pin, name: pin.clone() });
                }
                self.pins.insert(pin.clone(), *direction);
            }
            Op::DmaWrite(pin) => {
                if self.direction(pin)? == Direction::ToDevice {
                    return Err(Reason::WriteThroughReadPin(pin.clone()));
                }
            }
            Op::DmaRead(pin) => {
                self.direction(pin)?;
            }
            Op::Unpin(pin) => {
                self.direction(pin)?;
                self.pins.remove(pin);
                self.past_pins.insert(pin.clone());
            }
            Op::Hold(guest) => {
                if self.held(guest)? {
                    return Err(Reason::HeldAlready(guest.clone()));
                }
                self.guests.insert(guest.clone(), true);
            }
            Op::Release(guest) => {
                if !self.held(guest)? {
                    return Err(Reason::NotHeld(guest.clone()));
                }
                self.guests.insert(guest.clone(), false);
            }
        }
        Ok(())
    }

    /// The guests that live, and whether the host holds their page.
    pub fn guests(&self) -> impl ExactSizeIterator<Item = (&Name, bool)> {
        self.guests.iter().map(|(name, held)| (name, *held))
    }

    /// The pins that live.
    pub fn pins(&self) -> impl ExactSizeIterator<Item = (&Name, Direction)> {
        self.pins.iter().map(|(name, direction)| (name, *direction))
    }

    fn held(&self, name: &Name) -> Result<bool, Reason> {
        self.guests.get(name).copied().ok_or_else(|| missing(Kind::Guest, name, &self.past_guests))
    }

    fn direction(&self, name: &Name) -> Result<Direction, Reason> {
        self.pins.get(name).copied().ok_or_else(|| missing(Kind::Pin, name, &self.past_pins))
    }
}

fn missing(kind: Kind, name: &Name, past: &BTreeSet<Name>) -> Reason {
    let name = name.clone();
    if past.contains(&name) {
        Reason::Gone { kind, name }
    } else {
        Reason::NeverIntroduced { kind, name }
    }
}
