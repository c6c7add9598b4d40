//! Where a script happens: one trait, so that the pure model, real memory and a real vCPU run the
//! same script under the same checker.

use crate::rules::{Direction, Duration};

/// What a write leaves behind: a number that no other write of the run leaves.
///
/// On real memory a stamp fills its whole sector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub u64);

impl Stamp {
    /// What both sectors of the first guest hold before anything is written.
    pub const INITIAL: Self = Self(0);

    /// What a place reports for a sector that does not hold one stamp throughout. No write ever
    /// leaves it, so the checker takes it for bytes from elsewhere.
    pub const TORN: Self = Self(u64::MAX);
}

/// The two sectors of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Page {
    /// Sector `a`, which devices write.
    pub a: Stamp,
    /// Sector `b`, which CPUs write.
    pub b: Stamp,
}

/// The rules did not allow an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Not now; nothing happened.
    Busy,
    /// Not until pins are gone; nothing happened yet.
    Wait,
}

/// Why an operation did not happen.
#[derive(Debug)]
pub enum Stop<E> {
    /// The rules are against it: a finding, and the script goes on.
    Refused(Refusal),
    /// The place itself failed, and the run is over.
    Failed(E),
}

impl<E> From<Refusal> for Stop<E> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What an operation of the place `P` comes to when the rules may refuse it.
pub type Attempt<T, P> = Result<T, Stop<<P as Place>::Error>>;

/// Guests, each with the one page that a script is about, and the devices that work for them.
///
/// A place does what it is told and reports what is really there; whether that is right is for the
/// [`Checker`](super::Checker) to say. A method that stops leaves everything as it was.
pub trait Place {
    /// A guest that lives.
    type Guest;
    /// A device's pin. It outlives its guest.
    type Pin;
    /// A host reference that is no pin. It stays with the frame, wherever its guest moves.
    type Hold;
    /// How the place itself may fail.
    type Error: std::error::Error + 'static;

    /// Makes a first guest: both sectors hold [`Stamp::INITIAL`], its entry is writable, private.
    fn root(&mut self) -> Result<Self::Guest, Self::Error>;

    /// The guest's CPU writes sector `b`.
    fn write(&mut self, guest: &Self::Guest, stamp: Stamp) -> Attempt<(), Self>;

    /// The guest's CPU reads both sectors.
    fn read(&mut self, guest: &Self::Guest) -> Attempt<Page, Self>;

    /// Forks a guest.
    fn fork(&mut self, parent: &Self::Guest) -> Attempt<Self::Guest, Self>;

    /// The guest goes away. It has no hold any more; it may have pins, which stay.
    fn destroy(&mut self, guest: Self::Guest) -> Result<(), Self::Error>;

    /// The guest's device takes a pin. The rules know it as one if it is `counted`.
    fn pin(
        &mut self,
        guest: &Self::Guest,
        direction: Direction,
        duration: Duration,
        counted: bool,
    ) -> Attempt<Self::Pin, Self>;

    /// The device gives a pin back.
    fn unpin(&mut self, pin: Self::Pin) -> Result<(), Self::Error>;

    /// The device writes sector `a` through a pin that lets it.
    fn dma_write(&mut self, pin: &Self::Pin, stamp: Stamp) -> Result<(), Self::Error>;

    /// The device reads both sectors through a pin of either direction.
    fn dma_read(&mut self, pin: &Self::Pin) -> Result<Page, Self::Error>;

    /// Write-protects the guest's own entry.
    fn write_protect(&mut self, guest: &Self::Guest) -> Attempt<(), Self>;

    /// Evicts the guest's page, for all who map it.
    fn evict(&mut self, guest: &Self::Guest) -> Attempt<(), Self>;

    /// The host takes a reference to the guest's frame.
    fn hold(&mut self, guest: &Self::Guest) -> Attempt<Self::Hold, Self>;

    /// The host lets go of a reference.
    fn release(&mut self, hold: Self::Hold);

    /// How many pages were copied so far, for whatever reason.
    fn copies(&self) -> u64;
}
