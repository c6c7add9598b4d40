//! Address spaces as a place for scripts: the same code for the fake backing and for real memory.

use std::sync::Arc;

use super::{Attempt, Page, Place, Refusal, Stamp, Stop};
use crate::backing::Backing;
use crate::count::Holder;
use crate::error::SpaceError;
use crate::family::Family;
use crate::gfn::Gfn;
use crate::layer::Layer;
use crate::rules::{Direction, Duration};
use crate::space::{AddressSpace, FromDevice, Hold, Pin, PinRequest, ToDevice};
use crate::table::LayerId;

#[cfg(test)]
mod tests;

/// How CPUs and devices reach pages of a backing.
pub trait Reach: Backing + Sized {
    /// A CPU's write of sector `b`, through the window, with the faults that it meets.
    fn cpu_write(
        &self,
        space: &Arc<AddressSpace<Self>>,
        gfn: Gfn,
        stamp: Stamp,
    ) -> Result<(), SpaceError>;

    /// A CPU's read of both sectors, through the window, with the faults that it meets.
    fn cpu_read(&self, space: &Arc<AddressSpace<Self>>, gfn: Gfn) -> Result<Page, SpaceError>;

    /// A device's write of sector `a`, past all windows.
    fn device_write(&self, layer: &Layer<Self>, gfn: Gfn, stamp: Stamp);

    /// A device's read of both sectors, past all windows.
    fn device_read(&self, layer: &Layer<Self>, gfn: Gfn) -> Page;

    /// A space that CPUs are about to use was made.
    fn introduce(&self, space: &Arc<AddressSpace<Self>>);
}

/// A pin of either direction.
pub enum AnyPin<B: Backing> {
    /// The device writes.
    From(Pin<B, FromDevice>),
    /// The device reads.
    To(Pin<B, ToDevice>),
}

impl<B: Backing> AnyPin<B> {
    /// The frame: its layer and its place there.
    #[must_use]
    pub fn frame(&self) -> (&Arc<Layer<B>>, Gfn) {
        match self {
            Self::From(pin) => pin.frame(),
            Self::To(pin) => pin.frame(),
        }
    }

    /// As what the frame's count knows it.
    #[must_use]
    pub fn holder(&self) -> Holder {
        match self {
            Self::From(pin) => pin.holder(),
            Self::To(pin) => pin.holder(),
        }
    }

    /// Which way its device moves data.
    #[must_use]
    pub fn direction(&self) -> Direction {
        match self {
            Self::From(_) => Direction::FromDevice,
            Self::To(_) => Direction::ToDevice,
        }
    }
}

/// A family in which one page, [`gfn`](Self::gfn), is what scripts are about.
pub struct Lab<B: Reach> {
    family: Arc<Family<B>>,
    gfn: Gfn,
}

impl<B: Reach> Lab<B> {
    /// A place in `family`.
    #[must_use]
    pub fn new(family: Arc<Family<B>>, gfn: Gfn) -> Self {
        Self { family, gfn }
    }

    /// The family.
    #[must_use]
    pub fn family(&self) -> &Arc<Family<B>> {
        &self.family
    }

    /// The page.
    #[must_use]
    pub fn gfn(&self) -> Gfn {
        self.gfn
    }

    /// Checks the first law.
    ///
    /// # Panics
    /// When a count is not the number of its holders.
    pub fn assert_conserved<'a>(
        &self,
        pins: impl IntoIterator<Item = &'a AnyPin<B>>,
        holds: impl IntoIterator<Item = &'a Hold<B>>,
    ) {
        let id = |(layer, gfn): (&Arc<Layer<B>>, Gfn)| (layer.id(), gfn);
        let others: Vec<(LayerId, Gfn)> = pins
            .into_iter()
            .map(|pin| id(pin.frame()))
            .chain(holds.into_iter().map(|hold| id(hold.frame())))
            .collect();
        if let Err(miscount) = self.family.audit(others) {
            panic!("the law of conservation is broken: {miscount}");
        }
    }

    fn adopt(&self, space: Arc<AddressSpace<B>>) -> Arc<AddressSpace<B>> {
        self.family.backing().introduce(&space);
        space
    }
}

impl From<SpaceError> for Stop<SpaceError> {
    fn from(error: SpaceError) -> Self {
        match error {
            SpaceError::Busy { .. } => Self::Refused(Refusal::Busy),
            SpaceError::Wait { .. } => Self::Refused(Refusal::Wait),
            error => Self::Failed(error),
        }
    }
}

impl<B: Reach> Place for Lab<B> {
    type Guest = Arc<AddressSpace<B>>;
    type Pin = AnyPin<B>;
    type Hold = Hold<B>;
    type Error = SpaceError;

    fn root(&mut self) -> Result<Self::Guest, SpaceError> {
        Ok(self.adopt(AddressSpace::root(&self.family)?))
    }

    fn write(&mut self, guest: &Self::Guest, stamp: Stamp) -> Attempt<(), Self> {
        self.family.backing().cpu_write(guest, self.gfn, stamp)?;
        // Where the host copied the page, that is counted when somebody looks.
        guest.entry(self.gfn)?;
        Ok(())
    }

    fn read(&mut self, guest: &Self::Guest) -> Attempt<Page, Self> {
        Ok(self.family.backing().cpu_read(guest, self.gfn)?)
    }

    fn fork(&mut self, parent: &Self::Guest) -> Attempt<Self::Guest, Self> {
        Ok(self.adopt(parent.fork()?))
    }

    fn destroy(&mut self, guest: Self::Guest) -> Result<(), SpaceError> {
        drop(guest);
        Ok(())
    }

    fn pin(
        &mut self,
        guest: &Self::Guest,
        direction: Direction,
        duration: Duration,
        counted: bool,
    ) -> Attempt<Self::Pin, Self> {
        let request = PinRequest { duration, counted };
        Ok(match direction {
            Direction::FromDevice => AnyPin::From(guest.pin(self.gfn, request)?),
            Direction::ToDevice => AnyPin::To(guest.pin(self.gfn, request)?),
        })
    }

    fn unpin(&mut self, pin: Self::Pin) -> Result<(), SpaceError> {
        drop(pin);
        Ok(())
    }

    fn dma_write(&mut self, pin: &Self::Pin, stamp: Stamp) -> Result<(), SpaceError> {
        let (layer, gfn) = pin.frame();
        self.family.backing().device_write(layer, gfn, stamp);
        Ok(())
    }

    fn dma_read(&mut self, pin: &Self::Pin) -> Result<Page, SpaceError> {
        let (layer, gfn) = pin.frame();
        Ok(self.family.backing().device_read(layer, gfn))
    }

    fn write_protect(&mut self, guest: &Self::Guest) -> Attempt<(), Self> {
        Ok(guest.write_protect(self.gfn)?)
    }

    fn evict(&mut self, guest: &Self::Guest) -> Attempt<(), Self> {
        Ok(guest.evict(self.gfn)?)
    }

    fn hold(&mut self, guest: &Self::Guest) -> Attempt<Self::Hold, Self> {
        Ok(guest.hold(self.gfn)?)
    }

    fn release(&mut self, hold: Self::Hold) {
        drop(hold);
    }

    fn copies(&self) -> u64 {
        self.family.counters().now().copies()
    }
}
