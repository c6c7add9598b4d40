//! A script in the middle of its run: what lives, what it is called, what is done to it next.

use std::collections::BTreeMap;

use super::{
    Checker, Finding, Name, Op, Outcome, Owner, PinRecord, Place, ROOT, Refusal, Stamp, Stop,
};
use crate::rules::Direction;

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It happened, perhaps after a drain.
    Done,
    /// The rules refused it.
    Refused,
    /// The guest, pin or hold that it is about does not exist, because an earlier operation was
    /// refused or a drain took it.
    Skipped,
}

/// A script in the middle of its run.
pub struct Runner<'p, P: Place> {
    place: &'p mut P,
    checker: Checker,
    guests: BTreeMap<Name, LiveGuest<P>>,
    /// In the order in which they were taken, which is the order of a drain.
    pins: Vec<LivePin<P>>,
    last_stamp: Stamp,
    copies_before: u64,
}

struct LiveGuest<P: Place> {
    handle: P::Guest,
    owner: Owner,
    hold: Option<P::Hold>,
}

struct LivePin<P: Place> {
    name: Name,
    handle: P::Pin,
    direction: Direction,
    record: PinRecord,
}

impl<'p, P: Place> Runner<'p, P> {
    /// A fresh scenario: a first guest, and nothing else.
    pub fn new(place: &'p mut P) -> Result<Self, P::Error> {
        let copies_before = place.copies();
        let mut checker = Checker::new();
        let root = LiveGuest { handle: place.root()?, owner: checker.root(), hold: None };
        Ok(Self {
            place,
            checker,
            guests: BTreeMap::from([(ROOT.to_owned(), root)]),
            pins: Vec::new(),
            last_stamp: Stamp::INITIAL,
            copies_before,
        })
    }

    /// Does the next operation, which a [`Scope`](super::Scope) has admitted after all before it.
    pub fn step(&mut self, op: &Op) -> Result<Step, P::Error> {
        let attempt = self.attempt(op);
        if !matches!(attempt, Err(Halt::Refused(Refusal::Wait))) {
            return self.settle(attempt);
        }
        self.checker.record(Finding::Wait);
        self.drain()?;
        let again = self.attempt(op);
        self.settle(again)
    }

    /// The outcome so far.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        Outcome {
            findings: self.checker.findings().clone(),
            copies: self.place.copies() - self.copies_before,
        }
    }

    /// Takes down pins, holds and guests, and gives the outcome of what was before that.
    pub fn finish(mut self) -> Result<Outcome, P::Error> {
        let outcome = self.outcome();
        for pin in self.pins.drain(..) {
            self.place.unpin(pin.handle)?;
        }
        while let Some((_, guest)) = self.guests.pop_first() {
            guest.destroy(self.place)?;
        }
        Ok(outcome)
    }

    /// The place, for whoever looks closer at it between two steps.
    #[must_use]
    pub fn place(&self) -> &P {
        self.place
    }

    /// The place, for whoever disturbs it between two steps.
    pub fn place_mut(&mut self) -> &mut P {
        self.place
    }

    /// Starts to collect findings anew.
    pub fn forget_findings(&mut self) {
        self.checker.forget_findings();
    }

    /// What the checker knows.
    #[must_use]
    pub fn checker(&self) -> &Checker {
        &self.checker
    }

    /// The guests that live, by name.
    pub fn guests(&self) -> impl ExactSizeIterator<Item = (&Name, &P::Guest, Owner)> {
        self.guests.iter().map(|(name, guest)| (name, &guest.handle, guest.owner))
    }

    /// What the host holds of a guest's page.
    #[must_use]
    pub fn hold(&self, guest: &str) -> Option<&P::Hold> {
        self.guests.get(guest)?.hold.as_ref()
    }

    /// The pins that live, oldest first.
    pub fn pins(&self) -> impl ExactSizeIterator<Item = (&Name, &P::Pin, &PinRecord)> {
        self.pins.iter().map(|pin| (&pin.name, &pin.handle, &pin.record))
    }

    /// The host references that live, by the guest that they were taken from.
    pub fn holds(&self) -> impl Iterator<Item = (&Name, &P::Hold)> {
        self.guests.iter().filter_map(|(name, guest)| Some((name, guest.hold.as_ref()?)))
    }

    /// Tells what became of an operation, and records a refusal.
    fn settle(&mut self, attempt: Result<(), Halt<P::Error>>) -> Result<Step, P::Error> {
        match attempt {
            Ok(()) => Ok(Step::Done),
            Err(Halt::Absent) => Ok(Step::Skipped),
            Err(Halt::Refused(refusal)) => {
                self.checker.record(match refusal {
                    Refusal::Busy => Finding::Busy,
                    Refusal::Wait => Finding::Wait,
                });
                Ok(Step::Refused)
            }
            Err(Halt::Failed(error)) => Err(error),
        }
    }

    /// Lets every device finish: one transfer for each pin, in the order they were taken.
    fn drain(&mut self) -> Result<(), P::Error> {
        for pin in std::mem::take(&mut self.pins) {
            match pin.direction {
                Direction::FromDevice => {
                    let stamp = self.fresh_stamp();
                    pin.dma_write(self.place, &mut self.checker, stamp)?;
                }
                Direction::ToDevice => pin.dma_read(self.place, &mut self.checker)?,
            }
            self.place.unpin(pin.handle)?;
        }
        Ok(())
    }

    fn fresh_stamp(&mut self) -> Stamp {
        self.last_stamp.0 += 1;
        self.last_stamp
    }

    /// Tries an operation once. The checker hears of it only when it has happened.
    fn attempt(&mut self, op: &Op) -> Result<(), Halt<P::Error>> {
        match op {
            Op::Write(name) => {
                let stamp = self.fresh_stamp();
                let guest = self.guests.get(name).ok_or(Halt::Absent)?;
                self.place.write(&guest.handle, stamp)?;
                self.checker.write(guest.owner, stamp);
            }
            Op::Read(name) => {
                let guest = self.guests.get(name).ok_or(Halt::Absent)?;
                let seen = self.place.read(&guest.handle)?;
                self.checker.read(guest.owner, seen);
            }
            Op::Fork { parent, child } => {
                let parent = self.guests.get(parent).ok_or(Halt::Absent)?;
                let handle = self.place.fork(&parent.handle)?;
                let owner = self.checker.fork(parent.owner);
                self.guests.insert(child.clone(), LiveGuest { handle, owner, hold: None });
            }
            Op::Destroy(name) => {
                let guest = self.guests.remove(name).ok_or(Halt::Absent)?;
                self.checker.destroy(guest.owner);
                guest.destroy(self.place).map_err(Halt::Failed)?;
            }
            Op::Pin { guest, direction, duration, pin, counted } => {
                let guest = self.guests.get(guest).ok_or(Halt::Absent)?;
                let handle = self.place.pin(&guest.handle, *direction, *duration, *counted)?;
                let record = self.checker.pin(guest.owner, *duration);
                let (name, direction) = (pin.clone(), *direction);
                self.pins.push(LivePin { name, handle, direction, record });
            }
            Op::DmaWrite(name) => {
                let stamp = self.fresh_stamp();
                let pin = self.pins.iter().find(|pin| pin.name == *name).ok_or(Halt::Absent)?;
                pin.dma_write(self.place, &mut self.checker, stamp).map_err(Halt::Failed)?;
            }
            Op::DmaRead(name) => {
                let pin = self.pins.iter().find(|pin| pin.name == *name).ok_or(Halt::Absent)?;
                pin.dma_read(self.place, &mut self.checker).map_err(Halt::Failed)?;
            }
            Op::Unpin(name) => {
                let at = self.pins.iter().position(|pin| pin.name == *name).ok_or(Halt::Absent)?;
                self.place.unpin(self.pins.remove(at).handle).map_err(Halt::Failed)?;
            }
            Op::WriteProtect(name) => {
                let guest = self.guests.get(name).ok_or(Halt::Absent)?;
                self.place.write_protect(&guest.handle)?;
            }
            Op::Evict(name) => {
                let guest = self.guests.get(name).ok_or(Halt::Absent)?;
                self.place.evict(&guest.handle)?;
            }
            Op::Hold(name) => {
                let guest = self.guests.get_mut(name).ok_or(Halt::Absent)?;
                guest.hold = Some(self.place.hold(&guest.handle)?);
            }
            Op::Release(name) => {
                let guest = self.guests.get_mut(name).ok_or(Halt::Absent)?;
                self.place.release(guest.hold.take().ok_or(Halt::Absent)?);
            }
        }
        Ok(())
    }
}

/// Why an attempt came to nothing.
enum Halt<E> {
    /// It is about something that does not exist.
    Absent,
    Refused(Refusal),
    Failed(E),
}

impl<E> From<Stop<E>> for Halt<E> {
    fn from(stop: Stop<E>) -> Self {
        match stop {
            Stop::Refused(refusal) => Self::Refused(refusal),
            Stop::Failed(error) => Self::Failed(error),
        }
    }
}

impl<P: Place> LiveGuest<P> {
    fn destroy(self, place: &mut P) -> Result<(), P::Error> {
        if let Some(hold) = self.hold {
            place.release(hold);
        }
        place.destroy(self.handle)
    }
}

impl<P: Place> LivePin<P> {
    fn dma_write(
        &self,
        place: &mut P,
        checker: &mut Checker,
        stamp: Stamp,
    ) -> Result<(), P::Error> {
        place.dma_write(&self.handle, stamp)?;
        checker.dma_write(&self.record, stamp);
        Ok(())
    }

    fn dma_read(&self, place: &mut P, checker: &mut Checker) -> Result<(), P::Error> {
        checker.dma_read(&self.record, place.dma_read(&self.handle)?);
        Ok(())
    }
}
