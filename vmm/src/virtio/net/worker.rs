//! The worker of one card: frames from the guest to the link, and back.
//!
//! A state machine without a thread: [`NetWorker::step`] does what can be done now and never waits.

use std::os::fd::RawFd;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vm_memory::GuestMemory;

use super::config::Card;
use super::frames::{FRAME_MAX, Link};
use super::mac::Mac;
use crate::virtio::device::Activation;
use crate::virtio::queues::{Nonsense, Queues};
use crate::virtio::reactor::Next;
use crate::virtio::signals::Signals;

mod receive;
mod save;
mod transmit;

pub use save::{NetRestoreError, NetState};

/// How many queues there are (section 5.1.2).
pub(super) const QUEUES: usize = 2;
/// Buffers for frames that come in.
const RECEIVE: usize = 0;
/// Frames that go out.
const TRANSMIT: usize = 1;

/// Entries of each queue.
pub const QUEUE_SIZE: u16 = 256;

/// Bytes of the header before each frame in guest memory (`struct virtio_net_hdr`, section 5.1.6).
pub const HEADER_LEN: usize = 12;

/// Frames that one step moves in each direction at most.
pub const MOST_FRAMES: usize = 64;

/// Counts since the worker was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetCounts {
    /// Frames that the link took.
    pub sent: u64,
    /// Frames that were given to the driver.
    pub received: u64,
    /// Frames that the driver made available before the guest was copied: the original sends them.
    pub left: u64,
    /// Frames of the driver that were lost because there was no link, or it refused them.
    pub lost: u64,
    /// Frames of the driver that were too short or long, not in memory, or need what was not
    /// offered. They were not sent.
    pub refused: u64,
    /// Frames of the link that were dropped: too short or long, or longer than the next buffer.
    pub dropped: u64,
    /// Chains that could not be answered, and other reasons for DEVICE_NEEDS_RESET.
    pub malformed: u64,
}

/// The worker of one card: `M` is guest memory.
pub struct NetWorker<M> {
    memory: M,
    link: Option<Link>,
    card: Arc<Card>,
    signals: Arc<Signals>,
    queues: Queues,
    /// How many of the next frames to transmit are not this device's to send.
    foreign: u16,
    /// The next step tells the driver that the configuration has changed.
    changed: bool,
    /// There are buffers for what comes from the link.
    listening: bool,
    /// A header and a frame, and a byte more, which tells a frame that is too long.
    frame: Box<[u8]>,
    counts: NetCounts,
}

impl<M: GuestMemory> NetWorker<M> {
    /// The worker of a card whose driver is not ready yet, plugged into `link` or into nothing.
    #[must_use]
    pub fn new(memory: M, link: Option<Link>, mac: Mac, signals: Arc<Signals>) -> Self {
        let card = Arc::new(Card::new(mac, link.is_some()));
        Self {
            memory,
            link,
            card,
            signals,
            queues: Queues::default(),
            foreign: 0,
            changed: false,
            listening: false,
            frame: vec![0; HEADER_LEN + FRAME_MAX + 1].into(),
            counts: NetCounts::default(),
        }
    }

    /// Takes the queues of a driver that is ready.
    pub fn activate(&mut self, activation: Activation) {
        self.queues = Queues::new(activation.queues);
    }

    /// Forgets the queues. Nothing is ever in flight.
    pub fn reset(&mut self) {
        self.queues = Queues::default();
        (self.foreign, self.changed, self.listening) = (0, false, false);
    }

    /// Plugs the card into `link`, or into nothing. The driver is told at the next step.
    pub fn connect(&mut self, link: Option<Link>) {
        self.changed |= self.card.set_up(link.is_some());
        self.link = link;
    }

    /// Moves frames in both directions, and tells the driver.
    pub fn step(&mut self) -> Next {
        self.listening = false;
        let moved = match self.signals.is_live() {
            true => self.transmit().and_then(|next| Ok((next, self.receive()?))),
            false => Ok((Next::Idle, Next::Idle)),
        };
        let next = match moved {
            Ok((Next::Now, _) | (_, Next::Now)) => Next::Now,
            Ok((Next::Soon, _) | (_, Next::Soon)) => Next::Soon,
            Ok((Next::Idle, Next::Idle)) => Next::Idle,
            Err(Nonsense) => {
                self.counts.malformed += 1;
                self.signals.broken();
                Next::Idle
            }
        };
        self.queues.tell_driver(&self.memory, &self.signals);
        if std::mem::take(&mut self.changed) && self.signals.is_live() {
            self.signals.config_changed();
        }
        next
    }

    /// What becomes readable when the link has a frame, if there is a buffer for one.
    #[must_use]
    pub fn source(&self) -> Option<RawFd> {
        self.link.as_ref().filter(|_| self.listening).map(|link| link.source())
    }

    /// What was done so far.
    #[must_use]
    pub fn counts(&self) -> NetCounts {
        self.counts
    }

    /// The card's address.
    #[must_use]
    pub fn mac(&self) -> Mac {
        self.card.mac()
    }

    /// Whether the card is plugged into a link.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.card.is_up()
    }

    pub(super) fn card(&self) -> &Arc<Card> {
        &self.card
    }

    pub(super) fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }

    pub(super) fn memory(&self) -> &M {
        &self.memory
    }
}
