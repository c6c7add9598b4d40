//! The devices of a guest that have nothing in flight at a cut: network cards, the source of random
//! bytes, sockets to the host, and a balloon. Their registers come after those of the disks.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use pincow_mmu::live::LiveSpace;
use thiserror::Error;

use super::config::{ChildNet, ChildVsock};
use super::wiring::place;
use crate::devices::Line;
use crate::machine::BusDevice;
use crate::virtio::balloon::{BalloonCounts, Size};
use crate::virtio::net::{Link, Mac, NetCounts, NetRestoreError};
use crate::virtio::rng::RngCounts;
use crate::virtio::vsock::{Cid, HostSocket, VsockCounts, VsockRestoreError};
use crate::virtio::{MmioError, QueueError, ReactorError};

mod balloon;
mod net;
mod rng;
#[cfg(test)]
mod tests;
mod vsock;

use balloon::{GuestBalloon, ParkedBalloon, SavedBalloon};
use net::{GuestNet, ParkedNet, SavedNet};
use rng::{GuestRng, ParkedRng, SavedRng};
use vsock::{GuestVsock, ParkedVsock, SavedVsock};

/// A device without requests in flight that was not given to a guest.
#[derive(Debug, Error)]
pub enum PeripheralError {
    /// An event counter was not to be had.
    #[error("a device's event counter: {0}: the process may have too many files open (ulimit -n)")]
    Event(#[from] std::io::Error),
    /// It has no thread.
    #[error(transparent)]
    Reactor(#[from] ReactorError),
    /// The saved card does not fit.
    #[error(transparent)]
    Net(#[from] NetRestoreError),
    /// The saved queue of the source of random bytes does not fit.
    #[error("the saved source of random bytes cannot be restored: {0}")]
    Rng(#[source] QueueError),
    /// The saved queues of the balloon do not fit.
    #[error("the saved balloon cannot be restored: {0}")]
    Balloon(#[source] QueueError),
    /// The saved sockets to the host do not fit.
    #[error(transparent)]
    Vsock(#[from] VsockRestoreError),
    /// The saved registers do not fit.
    #[error(transparent)]
    Registers(#[from] MmioError),
    /// There is no such network card.
    #[error("network card {card} was named, and the guest has {cards}: count them from 0")]
    NoCard {
        /// Which.
        card: usize,
        /// How many there are.
        cards: usize,
    },
    /// There are no sockets to the host.
    #[error("the child was given a CID or a socket, and its parent has no vsock device")]
    NoVsock,
    /// There is no vsock device to connect to.
    #[error("the guest has no vsock device: boot it with one (pincow run --vsock cid=3,uds=PATH)")]
    NoSockets,
    /// A program was not connected to the guest.
    #[error("connecting to the guest's vsock device: {0}")]
    Adopt(#[source] std::io::Error),
    /// There is no balloon.
    #[error("the guest has no balloon: boot it with one (pincow run --balloon)")]
    NoBalloon,
    /// A balloon cannot be as large as the guest.
    #[error(
        "a balloon of {bytes:#x} bytes, and the guest has {ram_bytes:#x}: let it be a multiple of 4 KiB, \
         and smaller"
    )]
    BalloonSize {
        /// What was asked for.
        bytes: u64,
        /// What the guest has.
        ram_bytes: u64,
    },
}

/// A network card for a guest that is booted.
pub struct NetConfig {
    /// What it is plugged into, if anything.
    pub link: Option<Link>,
    /// Its address.
    pub mac: Mac,
}

/// Sockets to the host for a guest that is booted.
pub struct VsockConfig {
    /// The guest's address.
    pub cid: Cid,
    /// Where programs of the host find it, if anywhere.
    pub socket: Option<HostSocket>,
}

/// What devices there are.
pub(super) struct PeripheralsConfig {
    pub(super) nets: Vec<NetConfig>,
    pub(super) rng: bool,
    pub(super) vsock: Option<VsockConfig>,
    pub(super) balloon: bool,
}

/// What a child has of its own.
pub(super) struct ChildPeripherals {
    pub(super) nets: Vec<ChildNet>,
    pub(super) vsock: Option<ChildVsock>,
}

impl PeripheralsConfig {
    pub(super) fn count(&self) -> usize {
        count(self.nets.len(), [self.rng, self.vsock.is_some(), self.balloon])
    }
}

/// The interrupt line of the next device; `None` where its driver polls.
pub(super) type MakeLine<'a> = &'a dyn Fn() -> std::io::Result<Option<Line>>;

/// The devices.
pub(super) struct Peripherals {
    nets: Vec<GuestNet>,
    rng: Option<GuestRng>,
    vsock: Option<GuestVsock>,
    balloon: Option<GuestBalloon>,
}

/// The devices at a cut.
#[derive(Clone)]
pub(super) struct SavedPeripherals {
    nets: Vec<SavedNet>,
    rng: Option<SavedRng>,
    vsock: Option<SavedVsock>,
    balloon: Option<SavedBalloon>,
}

impl SavedPeripherals {
    pub(super) fn count(&self) -> usize {
        count(self.nets.len(), [self.rng.is_some(), self.vsock.is_some(), self.balloon.is_some()])
    }
}

/// How many devices there are, with those that there is one of at most.
fn count(nets: usize, others: [bool; 3]) -> usize {
    nets + others.into_iter().filter(|there| *there).count()
}

/// The devices are stopped while this lives.
pub(super) struct ParkedPeripherals<'a> {
    nets: Vec<ParkedNet<'a>>,
    rng: Option<ParkedRng<'a>>,
    vsock: Option<ParkedVsock<'a>>,
    balloon: Option<ParkedBalloon<'a>>,
}

impl Peripherals {
    /// Devices whose drivers are not ready yet.
    pub(super) fn new(
        config: PeripheralsConfig,
        space: &Arc<LiveSpace>,
        line: MakeLine<'_>,
    ) -> Result<Self, PeripheralError> {
        let PeripheralsConfig { nets, rng, vsock, balloon } = config;
        let net = |config| GuestNet::new(config, space, line()?);
        let nets = nets.into_iter().map(net).collect::<Result<_, _>>()?;
        let rng = rng.then(|| GuestRng::new(space, line()?)).transpose()?;
        let vsock = vsock.map(|config| GuestVsock::new(config, space, line()?)).transpose()?;
        let balloon = balloon.then(|| GuestBalloon::new(space, line()?)).transpose()?;
        Ok(Self { nets, rng, vsock, balloon })
    }

    /// The devices that `saved` describes, with what the child has of its own.
    pub(super) fn restore(
        saved: &SavedPeripherals,
        own: ChildPeripherals,
        space: &Arc<LiveSpace>,
        line: MakeLine<'_>,
    ) -> Result<Self, PeripheralError> {
        let ChildPeripherals { nets: own, vsock: own_vsock } = own;
        if own_vsock.is_some() && saved.vsock.is_none() {
            return Err(PeripheralError::NoVsock);
        }
        let cards = saved.nets.len();
        if own.len() > cards {
            return Err(PeripheralError::NoCard { card: own.len() - 1, cards });
        }
        let own = own.into_iter().chain(std::iter::repeat_with(ChildNet::default));
        let net = |(saved, own)| GuestNet::restore(saved, own, space, line()?);
        let nets = saved.nets.iter().zip(own).map(net).collect::<Result<_, _>>()?;
        let rng = |saved| GuestRng::restore(saved, space, line()?);
        let rng = saved.rng.as_ref().map(rng).transpose()?;
        let own_vsock = own_vsock.unwrap_or_default();
        let vsock = |saved| GuestVsock::restore(saved, own_vsock, space, line()?);
        let vsock = saved.vsock.as_ref().map(vsock).transpose()?;
        let balloon = |saved| GuestBalloon::restore(saved, space, line()?);
        let balloon = saved.balloon.as_ref().map(balloon).transpose()?;
        Ok(Self { nets, rng, vsock, balloon })
    }

    /// What the machine's bus gets, beginning with device number `first`.
    pub(super) fn on_bus(&self, first: usize) -> Vec<BusDevice> {
        let nets = self.nets.iter().map(GuestNet::socket);
        let rng = self.rng.as_ref().map(GuestRng::socket);
        let sockets = nets.chain(rng).chain(self.vsock.as_ref().map(GuestVsock::socket));
        let all = sockets.chain(self.balloon.as_ref().map(GuestBalloon::socket));
        all.zip(first..).map(|((registers, line), index)| place(index, registers, line)).collect()
    }

    /// Stops the devices, each between two frames, requests or packets.
    pub(super) fn park(&self) -> ParkedPeripherals<'_> {
        let nets = self.nets.iter().map(GuestNet::park).collect();
        let vsock = self.vsock.as_ref().map(GuestVsock::park);
        let balloon = self.balloon.as_ref().map(GuestBalloon::park);
        ParkedPeripherals { nets, rng: self.rng.as_ref().map(GuestRng::park), vsock, balloon }
    }

    /// Plugs a card into `link`, or into nothing.
    pub(super) fn connect(&self, card: usize, link: Option<Link>) -> Result<(), PeripheralError> {
        let cards = self.nets.len();
        let net = self.nets.get(card).ok_or(PeripheralError::NoCard { card, cards })?;
        net.connect(link);
        Ok(())
    }

    /// What the cards did so far.
    pub(super) fn net_counts(&self) -> Vec<NetCounts> {
        self.nets.iter().map(GuestNet::counts).collect()
    }

    /// What the source of random bytes did so far, if there is one.
    pub(super) fn rng_counts(&self) -> Option<RngCounts> {
        self.rng.as_ref().map(GuestRng::counts)
    }

    /// Takes in a stream as if its other end had connected to the guest's socket.
    pub(super) fn adopt(&self, stream: UnixStream) -> Result<(), PeripheralError> {
        let vsock = self.vsock.as_ref().ok_or(PeripheralError::NoSockets)?;
        vsock.adopt(stream).map_err(PeripheralError::Adopt)
    }

    /// Sets how many pages the balloon is to hold. What [`Self::balloon`] says then.
    pub(super) fn set_balloon(&self, pages: u32) -> Result<(Size, BalloonCounts), PeripheralError> {
        let balloon = self.balloon.as_ref().ok_or(PeripheralError::NoBalloon)?;
        balloon.set_target(pages);
        Ok(balloon.size_and_counts())
    }

    /// How large the balloon is, and what it did so far, if there is one.
    pub(super) fn balloon(&self) -> Option<(Size, BalloonCounts)> {
        self.balloon.as_ref().map(GuestBalloon::size_and_counts)
    }

    /// What the sockets to the host did so far, if there are any.
    pub(super) fn vsock_counts(&self) -> Option<VsockCounts> {
        self.vsock.as_ref().map(GuestVsock::counts)
    }
}

impl ParkedPeripherals<'_> {
    /// No vCPU may run.
    pub(super) fn save(&self) -> SavedPeripherals {
        let nets = self.nets.iter().map(ParkedNet::save).collect();
        let vsock = self.vsock.as_ref().map(ParkedVsock::save);
        let balloon = self.balloon.as_ref().map(ParkedBalloon::save);
        SavedPeripherals { nets, rng: self.rng.as_ref().map(ParkedRng::save), vsock, balloon }
    }
}
