//! What each line of a script does to guests and their devices.

use std::cell::Cell;
use std::rc::{Rc, Weak};

use pincow_mmu::host::HostMemory;
use pincow_mmu::rules::{Direction, Duration};
use pincow_mmu::scenario::{Attempt, Page, Place, SECTOR_A, SECTOR_B, Stamp, Stop, access};
use pincow_mmu::{Hold, PinRequest, SpaceError};

use super::desk::{Desk, Part};
use super::{LabError, Member, PAGE, RealGuests, medium};
use crate::boot::RAM_LEAST_BYTES;
use crate::devices::serial::nowhere;
use crate::guest::{Guest, GuestConfig, PinMode};
use crate::payload::PAYLOAD;
use crate::virtio::blk::Policy;

/// A pin: a request that its device holds.
pub struct HeldRequest {
    /// Its number on the desk.
    number: u64,
    /// The driver's name for it.
    ticket: u64,
    direction: Direction,
    /// The device has moved its bytes, at least once.
    served: Cell<bool>,
    /// Whose it is, as long as that guest lives.
    member: Weak<Member>,
}

impl HeldRequest {
    /// What its transfer is about, with the memory that is pinned for it.
    pub(super) fn part(&self, desk: &Desk) -> Result<Part, LabError> {
        desk.part(self.number).ok_or(LabError::NotThere(self.number))
    }
}

/// What a space said when it was asked for something: perhaps that its rules are against it.
fn asked<T>(answer: Result<T, SpaceError>) -> Result<T, Stop<LabError>> {
    answer.map_err(|error| LabError::from(error).into())
}

impl Place for RealGuests {
    type Guest = Rc<Member>;
    type Pin = HeldRequest;
    type Hold = Hold<HostMemory>;
    type Error = LabError;

    fn root(&mut self) -> Result<Rc<Member>, LabError> {
        let config = GuestConfig {
            disks: vec![medium::make(&self.folder, &self.desk)?],
            inflight: Policy::Error,
            ..GuestConfig::default()
        };
        let guest = Guest::boot(&self.host, RAM_LEAST_BYTES, self.sharing, config, PAYLOAD)?;
        let member = Member::root(guest)?;
        self.note(&member)?;
        Ok(Rc::new(member))
    }

    fn write(&mut self, guest: &Rc<Member>, stamp: Stamp) -> Attempt<(), Self> {
        let space = guest.guest.space();
        asked(access::before_write(space, PAGE))?;
        guest.write(stamp).map_err(LabError::from)?;
        asked(access::settle(space, PAGE))?;
        Ok(self.note(guest)?)
    }

    fn read(&mut self, guest: &Rc<Member>) -> Attempt<Page, Self> {
        let space = guest.guest.space();
        asked(access::before_read(space, PAGE))?;
        let look = |sector| guest.read(sector).map_err(LabError::from);
        let seen = Page { a: look(SECTOR_A)?, b: look(SECTOR_B)? };
        asked(access::settle(space, PAGE))?;
        self.note(guest)?;
        Ok(seen)
    }

    fn fork(&mut self, parent: &Rc<Member>) -> Attempt<Rc<Member>, Self> {
        let (child, _) = parent.guest.fork(nowhere()).map_err(LabError::from)?;
        // A page that is shared may have moved to be so, for both. A pinned one is copied for the child.
        if let Some(now) = parent.frame_now().map_err(LabError::from)? {
            parent.frame.set(Some(now));
        }
        let child = Member::child(child, parent)?;
        self.note(&child)?;
        Ok(Rc::new(child))
    }

    fn destroy(&mut self, guest: Rc<Member>) -> Result<(), LabError> {
        drop(guest);
        Ok(())
    }

    fn pin(
        &mut self,
        guest: &Rc<Member>,
        direction: Direction,
        duration: Duration,
        counted: bool,
    ) -> Attempt<HeldRequest, Self> {
        if direction == Direction::FromDevice {
            asked(access::before_write(guest.guest.space(), PAGE))?;
        }
        let asked = PinRequest { duration, counted };
        guest.guest.set_pins(0, self.pins.unwrap_or(PinMode::As(asked)));
        let sector = medium::sector(self.requests, direction);
        self.requests += 1;
        let (ticket, number) = guest.begin(&self.desk, (direction, asked), sector)?;
        self.note(guest)?;
        let (served, member) = (Cell::new(false), Rc::downgrade(guest));
        Ok(HeldRequest { number, ticket, direction, served, member })
    }

    fn unpin(&mut self, pin: HeldRequest) -> Result<(), LabError> {
        let done = pin.served.get();
        self.desk.end(pin.number, done);
        match pin.member.upgrade() {
            Some(member) => member.ended(pin.ticket, done),
            None => Ok(()),
        }
    }

    fn dma_write(&mut self, pin: &HeldRequest, stamp: Stamp) -> Result<(), LabError> {
        self.dma.write(pin.part(&self.desk)?, stamp)?;
        pin.served.set(true);
        Ok(())
    }

    fn dma_read(&mut self, pin: &HeldRequest) -> Result<Page, LabError> {
        let seen = self.dma.read(pin.part(&self.desk)?)?;
        if pin.direction == Direction::ToDevice {
            pin.served.set(true);
        }
        Ok(seen)
    }

    fn write_protect(&mut self, guest: &Rc<Member>) -> Attempt<(), Self> {
        asked(guest.guest.space().write_protect(PAGE))
    }

    fn evict(&mut self, guest: &Rc<Member>) -> Attempt<(), Self> {
        asked(guest.guest.space().evict(PAGE))
    }

    fn hold(&mut self, guest: &Rc<Member>) -> Attempt<Hold<HostMemory>, Self> {
        let hold = asked(guest.guest.space().hold(PAGE))?;
        self.note(guest)?;
        Ok(hold)
    }

    fn release(&mut self, hold: Hold<HostMemory>) {
        drop(hold);
    }

    fn copies(&self) -> u64 {
        self.copies
    }
}
