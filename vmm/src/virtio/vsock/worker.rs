//! The worker of one device: packets of the guest to sockets of the host, and back.
//!
//! A state machine without a thread: [`VsockWorker::step`] does what can be done now and never waits.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use serde::Serialize;
use vm_memory::GuestMemory;

use super::cid::Cid;
use super::connections::{Connections, MOST_CONNECTIONS};
use super::packet::{HEADER_LEN, Header, PAYLOAD_MAX};
use super::socket::HostSocket;
use crate::virtio::device::Activation;
use crate::virtio::queues::{Nonsense, Queues};
use crate::virtio::reactor::Next;
use crate::virtio::signals::Signals;

mod event;
mod receive;
mod save;
mod transmit;

use event::Notice;
pub use save::{VsockRestoreError, VsockState};

/// How many queues there are (section 5.10.2).
pub(super) const QUEUES: usize = 3;
/// Buffers for packets to the guest.
const RECEIVE: usize = 0;
/// Packets of the guest.
const TRANSMIT: usize = 1;
/// Buffers for events.
const EVENT: usize = 2;

/// Entries of each queue.
pub const QUEUE_SIZE: u16 = 256;

/// Packets that one step moves in each direction at most. A fork waits for one step.
pub const MOST_PACKETS: usize = 16;

/// Answers to packets of no connection that wait for a buffer.
pub const MOST_REPLIES: usize = 256;

/// Counts since the worker was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VsockCounts {
    /// Packets of the guest that were acted on.
    pub taken: u64,
    /// Packets that were given to the driver.
    pub given: u64,
    /// Packets that the driver made available before the guest was copied: the original takes them.
    pub left: u64,
    /// Packets of the guest that were no packets: too short, not in memory, from another CID.
    pub refused: u64,
    /// RSTs that answered packets of no connection, requests that were not granted among them.
    pub resets: u64,
    /// Chains that could not be answered, and other reasons for DEVICE_NEEDS_RESET.
    pub malformed: u64,
}

/// The worker of one device: `M` is guest memory.
pub struct VsockWorker<M> {
    memory: M,
    cid: Cid,
    socket: Option<HostSocket>,
    signals: Arc<Signals>,
    queues: Queues,
    connections: Connections,
    /// RSTs for packets of no connection.
    replies: VecDeque<Header>,
    /// Streams that are to be taken in.
    adopted: Vec<UnixStream>,
    /// How many of the next packets to take are not this device's.
    foreign: u16,
    notice: Notice,
    /// The next step tells the driver that the configuration has changed.
    changed: bool,
    /// A header and bytes.
    packet: Box<[u8]>,
    counts: VsockCounts,
}

impl<M: GuestMemory> VsockWorker<M> {
    /// The worker of a device whose driver is not ready yet, with a socket on the host or none.
    ///
    /// # Errors
    /// When the kernel gives nothing to watch sockets with.
    pub fn new(
        memory: M,
        cid: Cid,
        socket: Option<HostSocket>,
        signals: Arc<Signals>,
    ) -> io::Result<Self> {
        let connections = Connections::new(socket.as_ref())?;
        Ok(Self {
            memory,
            cid,
            socket,
            signals,
            queues: Queues::default(),
            connections,
            replies: VecDeque::new(),
            adopted: Vec::new(),
            foreign: 0,
            notice: Notice::None,
            changed: false,
            packet: vec![0; HEADER_LEN + PAYLOAD_MAX].into(),
            counts: VsockCounts::default(),
        })
    }

    /// Takes the queues of a driver that is ready.
    pub fn activate(&mut self, activation: Activation) {
        self.queues = Queues::new(activation.queues);
    }

    /// Forgets the queues, and closes all connections. Nothing is ever in flight.
    pub fn reset(&mut self) {
        self.queues = Queues::default();
        self.forget();
    }

    /// Forgets what the driver knows of.
    fn forget(&mut self) {
        self.connections.clear();
        self.replies.clear();
        self.adopted.clear();
        (self.foreign, self.notice, self.changed) = (0, Notice::None, false);
    }

    /// Moves packets in both directions, and tells the driver.
    pub fn step(&mut self) -> Next {
        self.connections.hear();
        if !self.signals.is_live() {
            self.forget();
            return Next::Idle;
        }
        let next = self.moved().unwrap_or_else(|Nonsense| {
            self.counts.malformed += 1;
            self.forget();
            self.signals.broken();
            Next::Idle
        });
        self.queues.tell_driver(&self.memory, &self.signals);
        if std::mem::take(&mut self.changed) && self.signals.is_live() {
            self.signals.config_changed();
        }
        next
    }

    fn moved(&mut self) -> Result<Next, Nonsense> {
        self.give_notice()?;
        let taken = self.transmit()?;
        let accepted = self.accept();
        let given = self.receive()?;
        // Replies that had no place may have one now.
        let room = taken == Next::Soon && self.replies.len() < MOST_REPLIES;
        Ok(match (taken, accepted, given) {
            _ if room => Next::Now,
            (Next::Now, _, _) | (_, _, Next::Now) => Next::Now,
            (_, Next::Soon, _) => Next::Soon,
            _ => Next::Idle,
        })
    }

    /// Takes in, at the next step, a stream whose other end is a program of the host: as if it had connected
    /// to the Unix socket. Where the driver is not ready, the program sees its end.
    ///
    /// # Errors
    /// When too many wait, or the stream cannot be had without blocking.
    pub fn adopt(&mut self, stream: UnixStream) -> io::Result<()> {
        if self.adopted.len() >= MOST_CONNECTIONS {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        stream.set_nonblocking(true)?;
        self.adopted.push(stream);
        Ok(())
    }

    /// Accepts programs of the host, unless the driver is about to close all that is connected.
    fn accept(&mut self) -> Next {
        if self.notice != Notice::None {
            return Next::Idle;
        }
        for stream in std::mem::take(&mut self.adopted) {
            // A program that is not taken in sees the end of its stream.
            let _ = self.connections.adopt(stream);
        }
        let Some(socket) = &self.socket else { return Next::Idle };
        match self.connections.accept(socket) {
            Ok(()) => Next::Idle,
            Err(_) => Next::Soon,
        }
    }

    /// What becomes readable when a socket of the host is ready for something.
    #[must_use]
    pub fn source(&self) -> RawFd {
        self.connections.source()
    }

    /// What was done so far.
    #[must_use]
    pub fn counts(&self) -> VsockCounts {
        self.counts
    }

    /// How many streams of the host are open.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.connections.len()
    }

    /// The guest's address.
    #[must_use]
    pub fn cid(&self) -> Cid {
        self.cid
    }

    pub(super) fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }

    pub(super) fn memory(&self) -> &M {
        &self.memory
    }
}
