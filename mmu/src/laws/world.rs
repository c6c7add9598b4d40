//! Guests, images, pins and holds under test.

use std::sync::Arc;
use std::time::Instant;

use super::observe::Observed;
use super::oracle::Ideal;
use super::{Action, Bench, Broken, Law};
use crate::backing::Backing;
use crate::error::SpaceError;
use crate::family::Family;
use crate::gfn::{Gfn, Run};
use crate::image::Image;
use crate::rules::{Direction, Duration, RuleSet, Rules};
use crate::scenario::{AnyPin, Page, Reach, Stamp};
use crate::space::{AddressSpace, Hold, PinRequest};

/// More living guests, images, pins or holds than this are not made.
const MOST: usize = 5;

/// How long the last fault may take to be answered when nobody waits for it any more.
const TIME_TO_ANSWER: std::time::Duration = std::time::Duration::from_secs(10);

pub(super) struct Guest<B: Backing> {
    pub(super) space: Arc<AddressSpace<B>>,
    pub(super) ideal: Ideal,
}

pub(super) struct Snapshot<B: Backing> {
    pub(super) image: Arc<Image<B>>,
    pub(super) ideal: Ideal,
}

pub(super) struct Taken<B: Backing> {
    pub(super) pin: AnyPin<B>,
    /// The id of the space that took it, which may be gone.
    pub(super) owner: u64,
    duration: Duration,
    at_pin: Page,
}

/// A family under test, and what it should look like.
pub(crate) struct World<T: Bench> {
    pub(super) bench: T,
    pub(super) family: Arc<Family<T::Backing>>,
    pub(super) guests: Vec<Guest<T::Backing>>,
    pub(super) images: Vec<Snapshot<T::Backing>>,
    pub(super) pins: Vec<Taken<T::Backing>>,
    pub(super) holds: Vec<Hold<T::Backing>>,
    last_stamp: Stamp,
    /// Fail every call of every operation once before letting it happen.
    inject: bool,
}

fn choose<T>(list: &[T], number: u8) -> Option<usize> {
    (!list.is_empty()).then(|| usize::from(number) % list.len())
}

impl<T: Bench> World<T> {
    /// A root guest of `pages` under `rules`.
    pub(crate) fn new(bench: T, rules: Rules, pages: u32, inject: bool) -> Self {
        let family = Family::new(Arc::clone(bench.backing()), rules, pages);
        let space = AddressSpace::root(&family).expect("a first guest");
        bench.backing().introduce(&space);
        let guests = vec![Guest { space, ideal: Ideal::zeros(pages) }];
        let (images, pins, holds) = Default::default();
        Self { bench, family, guests, images, pins, holds, last_stamp: Stamp::INITIAL, inject }
    }

    /// Does all of a sequence and takes everything down, with every law checked after each step and
    /// `after_each` called.
    pub(crate) fn live(
        mut self,
        actions: &[Action],
        mut after_each: impl FnMut(&Self),
    ) -> Result<(), Broken> {
        for (done, action) in actions.iter().enumerate() {
            self.step(*action).and_then(|()| self.check()).map_err(|broken| Broken {
                how: format!("{}\nafter {:?}", broken.how, &actions[..=done]),
                ..broken
            })?;
            after_each(&self);
        }
        self.look_at_all()?;
        self.end()
    }

    /// The family, for whoever wants to know what it did.
    pub(crate) fn family(&self) -> &Arc<Family<T::Backing>> {
        &self.family
    }

    /// Loses sight of a reference, as a mistake would.
    pub(crate) fn forget_hold(&mut self) {
        std::mem::forget(self.holds.pop());
    }

    /// Lets everything go, guests before what outlives them.
    pub(crate) fn end(self) -> Result<(), Broken> {
        let Self { bench, family, guests, images, pins, holds, .. } = self;
        drop(guests);
        drop((pins, images, holds));
        let deadline = Instant::now() + TIME_TO_ANSWER;
        while bench.is_answering() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        let layers = family.layers();
        if layers > 0 {
            return Err(Law::Conservation.broken(format!("{layers} layers are left")));
        }
        drop(family);
        match bench.leftovers() {
            left if left.is_empty() => Ok(()),
            left => Err(Law::Conservation.broken(left)),
        }
    }

    /// One action. Refusals of the rules are part of the game.
    pub(crate) fn step(&mut self, action: Action) -> Result<(), Broken> {
        let gfn = |page: u8| Gfn(u32::from(page) % self.family.pages());
        match action {
            Action::Write { space, page } => self.write(space, gfn(page)),
            Action::Read { space, page } => self.read(space, gfn(page)),
            Action::Fork { space } => self.fork(space),
            Action::Snapshot { space } => self.snapshot(space),
            Action::Spawn { image } => self.spawn(image),
            Action::DropSpace { space } => {
                if self.guests.len() > 1 {
                    let at = usize::from(space) % self.guests.len();
                    drop(self.guests.swap_remove(at));
                }
                Ok(())
            }
            Action::DropImage { image } => {
                drop(choose(&self.images, image).map(|at| self.images.swap_remove(at)));
                Ok(())
            }
            Action::Pin { space, page, direction, duration } => {
                self.pin(space, gfn(page), direction, duration)
            }
            Action::Unpin { pin } => {
                drop(choose(&self.pins, pin).map(|at| self.pins.swap_remove(at)));
                Ok(())
            }
            Action::DmaWrite { pin } => {
                self.dma_write(pin);
                Ok(())
            }
            Action::DmaRead { pin } => self.dma_read(pin),
            Action::WriteProtect { space, page } => {
                let (guest, gfn) = (self.guest(space), gfn(page));
                self.attempt(true, |this| this.guests[guest].space.write_protect(gfn)).map(drop)
            }
            Action::Evict { space, page } => {
                let (guest, gfn) = (self.guest(space), gfn(page));
                self.attempt(true, |this| this.guests[guest].space.evict(gfn)).map(drop)
            }
            Action::Discard { space, page } => {
                let (guest, gfn) = (self.guest(space), gfn(page));
                let done = self.attempt(true, |this| this.guests[guest].space.discard(gfn))?;
                if done.is_some() {
                    self.guests[guest].ideal.discards(gfn);
                }
                Ok(())
            }
            Action::Hold { space, page } => {
                let (guest, gfn) = (self.guest(space), gfn(page));
                if self.holds.len() < MOST {
                    let hold = self.attempt(false, |this| this.guests[guest].space.hold(gfn))?;
                    self.holds.extend(hold);
                }
                Ok(())
            }
            Action::Release { hold } => {
                drop(choose(&self.holds, hold).map(|at| self.holds.swap_remove(at)));
                Ok(())
            }
            Action::Prefault { space, first, last } => {
                let (first, last) = (gfn(first), gfn(last));
                let run = Run::new(first.0.min(last.0), first.0.max(last.0) + 1);
                self.guests[self.guest(space)].space.prefault_now(run);
                Ok(())
            }
        }
    }

    fn guest(&self, number: u8) -> usize {
        usize::from(number) % self.guests.len()
    }

    fn fresh(&mut self) -> Stamp {
        self.last_stamp.0 += 1;
        self.last_stamp
    }

    fn write(&mut self, guest: u8, gfn: Gfn) -> Result<(), Broken> {
        let (guest, stamp) = (self.guest(guest), self.fresh());
        let done = self
            .access(|this| this.bench.backing().cpu_write(&this.guests[guest].space, gfn, stamp))?;
        if done.is_some() {
            self.guests[guest].ideal.cpu_writes(gfn, stamp);
        }
        Ok(())
    }

    pub(super) fn read(&mut self, guest: u8, gfn: Gfn) -> Result<(), Broken> {
        let guest = self.guest(guest);
        let seen =
            self.access(|this| this.bench.backing().cpu_read(&this.guests[guest].space, gfn))?;
        match seen {
            Some(seen) => self.guests[guest].ideal.judge("a CPU", gfn, seen),
            None => Ok(()),
        }
    }

    fn fork(&mut self, guest: u8) -> Result<(), Broken> {
        if self.guests.len() == MOST {
            return Ok(());
        }
        let guest = self.guest(guest);
        self.settle(guest);
        let child = self.attempt(true, |this| this.guests[guest].space.fork())?;
        let ideal = self.guests[guest].ideal.clone();
        self.adopt(child, ideal);
        Ok(())
    }

    /// A fork that fails may have done what the last one left to do: that is not its failure's doing.
    fn settle(&self, guest: usize) {
        if self.inject {
            self.guests[guest].space.finish_copy_out();
        }
    }

    fn snapshot(&mut self, guest: u8) -> Result<(), Broken> {
        if self.images.len() == MOST {
            return Ok(());
        }
        let guest = self.guest(guest);
        self.settle(guest);
        let image = self.attempt(true, |this| this.guests[guest].space.snapshot())?;
        let ideal = self.guests[guest].ideal.clone();
        self.images.extend(image.map(|image| Snapshot { image, ideal }));
        Ok(())
    }

    fn spawn(&mut self, image: u8) -> Result<(), Broken> {
        let Some(image) = choose(&self.images, image).filter(|_| self.guests.len() < MOST) else {
            return Ok(());
        };
        let clone = self.attempt(true, |this| this.images[image].image.spawn())?;
        let ideal = self.images[image].ideal.clone();
        self.adopt(clone, ideal);
        Ok(())
    }

    fn adopt(&mut self, space: Option<Arc<AddressSpace<T::Backing>>>, ideal: Ideal) {
        if let Some(space) = space {
            self.bench.backing().introduce(&space);
            self.guests.push(Guest { space, ideal });
        }
    }

    fn pin(
        &mut self,
        guest: u8,
        gfn: Gfn,
        direction: Direction,
        duration: Duration,
    ) -> Result<(), Broken> {
        if self.pins.len() == MOST {
            return Ok(());
        }
        let guest = self.guest(guest);
        let request = PinRequest { duration, counted: true };
        let pin = self.attempt(false, |this| {
            let space = &this.guests[guest].space;
            Ok(match direction {
                Direction::FromDevice => AnyPin::From(space.pin(gfn, request)?),
                Direction::ToDevice => AnyPin::To(space.pin(gfn, request)?),
            })
        })?;
        let Guest { space, ideal } = &self.guests[guest];
        let (owner, at_pin) = (space.id(), ideal.page(gfn));
        self.pins.extend(pin.map(|pin| Taken { pin, owner, duration, at_pin }));
        Ok(())
    }

    fn dma_write(&mut self, pin: u8) {
        let stamp = self.fresh();
        let Some(taken) = choose(&self.pins, pin).map(|at| &self.pins[at]) else { return };
        if taken.pin.direction() == Direction::FromDevice {
            let (layer, gfn) = taken.pin.frame();
            self.bench.backing().device_write(layer, gfn, stamp);
            let owner = self.guests.iter_mut().find(|guest| guest.space.id() == taken.owner);
            if let Some(owner) = owner {
                owner.ideal.device_writes(gfn, stamp);
            }
        }
    }

    fn dma_read(&mut self, pin: u8) -> Result<(), Broken> {
        let Some(taken) = choose(&self.pins, pin).map(|at| &self.pins[at]) else { return Ok(()) };
        let (layer, gfn) = taken.pin.frame();
        let seen = self.bench.backing().device_read(layer, gfn);
        let Some(owner) = self.guests.iter().find(|guest| guest.space.id() == taken.owner) else {
            return Ok(());
        };
        let old_is_legal = taken.duration == Duration::Short
            && matches!(self.family.rules().set, RuleSet::ShortRead | RuleSet::Wait);
        if old_is_legal && owner.ideal.held_since(gfn, taken.at_pin, seen) {
            return Ok(());
        }
        owner.ideal.judge("a device", gfn, seen)
    }

    /// A CPU's access. Faults of a real one cannot be made to fail: the guest would be gone.
    fn access<R>(
        &mut self,
        operation: impl Fn(&Self) -> Result<R, SpaceError>,
    ) -> Result<Option<R>, Broken> {
        if self.bench.faults_return() {
            let done = self.attempt(false, operation)?;
            let may_wait = self.family.rules().set == RuleSet::Wait;
            return match done {
                None if !may_wait => Err(Law::Books.broken("a CPU's access was refused")),
                done => Ok(done),
            };
        }
        match operation(self) {
            Ok(done) => Ok(Some(done)),
            Err(SpaceError::Wait { .. }) => Ok(None),
            Err(error) => Err(Law::AllOrNothing.broken(error.to_string())),
        }
    }

    /// Does an operation, after making each call that it makes fail once: the law of *all or
    /// nothing*. `strict` ones leave everything as before; the others may have read a page back
    /// from the swap, or copied it, which no guest can tell.
    fn attempt<R>(
        &mut self,
        strict: bool,
        operation: impl Fn(&Self) -> Result<R, SpaceError>,
    ) -> Result<Option<R>, Broken> {
        for nth in 1.. {
            let before = strict.then(|| self.observe());
            if self.inject {
                self.bench.fail_at(nth);
            }
            let done = operation(self);
            let untouched = self.bench.disarm() || !self.inject;
            let error = match done {
                Ok(done) => return Ok(Some(done)),
                Err(error) => error,
            };
            if let Some(difference) = before.and_then(|before| before.difference(&self.observe())) {
                return Err(Law::AllOrNothing.broken(format!("{error}, and changed {difference}")));
            }
            self.check()?;
            if untouched {
                return match error {
                    SpaceError::Busy { .. }
                    | SpaceError::Wait { .. }
                    | SpaceError::NoMappings { .. }
                    | SpaceError::LeftToHost { .. } => Ok(None),
                    error => Err(Law::AllOrNothing.broken(format!("failed unasked: {error}"))),
                };
            }
        }
        Ok(None)
    }

    fn observe(&self) -> Observed {
        let spaces = self.guests.iter().map(|guest| &*guest.space);
        let images = self.images.iter().map(|image| &*image.image);
        Observed::of(&self.bench, &self.family, spaces, images)
    }
}
