//! Places for the tests of the checker and the runner: one that is right because it shares
//! nothing, and ways to make it wrong, or reluctant.

use std::collections::VecDeque;

use super::{Attempt, Page, Place, Refusal, Stamp, Stop};
use crate::rules::{Direction, Duration};

/// Guests that really copy at a fork, so that there is nothing to get wrong.
#[derive(Default)]
pub(super) struct Fake {
    /// What is wrong with it.
    pub(super) fault: Fault,
    /// What the next forks, evictions and holds come to; then they succeed.
    pub(super) refusals: VecDeque<Option<Refusal>>,
    /// Guests, pins and holds that live.
    pub(super) alive: usize,
    /// The device transfers so far, as `R` and `W`.
    pub(super) transfers: String,
    pages: Vec<Page>,
    copies: u64,
}

/// A way to be wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fault {
    #[default]
    None,
    /// All guests use one page.
    SharesEverything,
    /// What devices write goes nowhere.
    LosesDeviceWrites,
    /// What CPUs write goes nowhere.
    LosesCpuWrites,
    /// Devices read what was there at the beginning.
    ReadsInitial,
    /// Reads find half of one write and half of another in sector `a`.
    Tears,
    /// Evictions break.
    Breaks,
}

#[derive(Debug, thiserror::Error)]
#[error("it broke")]
pub(super) struct Broken;

impl Fake {
    pub(super) fn with(fault: Fault) -> Self {
        Self { fault, ..Self::default() }
    }

    pub(super) fn refusing(self, refusals: &[Option<Refusal>]) -> Self {
        Self { refusals: refusals.iter().copied().collect(), ..self }
    }

    fn ask(&mut self) -> Result<(), Stop<Broken>> {
        match self.refusals.pop_front().flatten() {
            Some(refusal) => Err(refusal.into()),
            None => Ok(()),
        }
    }

    fn look(&self, page: usize) -> Page {
        let page = self.pages[page];
        if self.fault == Fault::Tears { Page { a: Stamp::TORN, ..page } } else { page }
    }
}

impl Place for Fake {
    type Guest = usize;
    type Pin = usize;
    type Hold = ();
    type Error = Broken;

    fn root(&mut self) -> Result<usize, Broken> {
        self.alive += 1;
        self.pages.push(Page::default());
        Ok(self.pages.len() - 1)
    }

    fn write(&mut self, guest: &usize, stamp: Stamp) -> Attempt<(), Self> {
        if self.fault != Fault::LosesCpuWrites {
            self.pages[*guest].b = stamp;
        }
        Ok(())
    }

    fn read(&mut self, guest: &usize) -> Attempt<Page, Self> {
        Ok(self.look(*guest))
    }

    fn fork(&mut self, parent: &usize) -> Attempt<usize, Self> {
        self.ask()?;
        self.alive += 1;
        if self.fault == Fault::SharesEverything {
            return Ok(*parent);
        }
        self.pages.push(self.pages[*parent]);
        self.copies += 1;
        Ok(self.pages.len() - 1)
    }

    fn destroy(&mut self, _guest: usize) -> Result<(), Broken> {
        self.alive -= 1;
        Ok(())
    }

    fn pin(&mut self, guest: &usize, _: Direction, _: Duration, _: bool) -> Attempt<usize, Self> {
        self.alive += 1;
        Ok(*guest)
    }

    fn unpin(&mut self, _pin: usize) -> Result<(), Broken> {
        self.alive -= 1;
        Ok(())
    }

    fn dma_write(&mut self, pin: &usize, stamp: Stamp) -> Result<(), Broken> {
        self.transfers.push('W');
        if self.fault != Fault::LosesDeviceWrites {
            self.pages[*pin].a = stamp;
        }
        Ok(())
    }

    fn dma_read(&mut self, pin: &usize) -> Result<Page, Broken> {
        self.transfers.push('R');
        let initial = self.fault == Fault::ReadsInitial;
        Ok(if initial { Page::default() } else { self.look(*pin) })
    }

    fn write_protect(&mut self, _guest: &usize) -> Attempt<(), Self> {
        Ok(())
    }

    fn evict(&mut self, _guest: &usize) -> Attempt<(), Self> {
        if self.fault == Fault::Breaks {
            return Err(Stop::Failed(Broken));
        }
        self.ask()
    }

    fn hold(&mut self, _guest: &usize) -> Attempt<(), Self> {
        self.ask()?;
        self.alive += 1;
        Ok(())
    }

    fn release(&mut self, _hold: ()) {
        self.alive -= 1;
    }

    fn copies(&self) -> u64 {
        self.copies
    }
}
