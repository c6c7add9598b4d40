//! The worker of one disk: requests in flight, and everything that happens to them.
//!
//! A state machine without a thread: [`BlkWorker::step`] does what can be done now and never waits.
//! Between two steps, a request is in one of these states:
//!
//! ```text
//! available --take--> waiting --begin--> running --last completion read--> answered
//!                        ^ |
//!                        +-+ a port or the engine was busy
//! ```
//!
//! From `take` to the answer it is in the ledger. While it runs, its transfers hold the pins. A disk
//! may have it go on with transfers of the disk's own before it is answered ([`Progress::More`](super::Progress::More)).

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::sync::Arc;

use vm_memory::GuestMemory;

use super::bounce::Bounce;
use super::config::BlkConfig;
use super::ports::{DiskPort, Operation, Pinner};
use super::request::{Kind as RequestKind, Request};
use crate::io::{Completion, Engine, Kind, Transfer};
use crate::virtio::device::{Activation, Reset};
use crate::virtio::queues::Queues;
use crate::virtio::reactor::Next;
use crate::virtio::signals::Signals;

mod begin;
mod counts;
mod finish;
mod save;
mod take;
mod writable;

use take::Doorbell;

pub use counts::BlkCounts;
pub use save::{BlkState, DrainError};

/// What a worker works with.
pub struct Ports<M, P, D, E> {
    /// The guest's memory, for rings, descriptors and status.
    pub memory: M,
    /// Pins the guest's memory for transfers.
    pub pinner: P,
    /// Where the sectors are.
    pub disk: D,
    /// Moves the bytes.
    pub engine: E,
}

/// A request in flight.
struct Job<T> {
    queue: u16,
    request: Request,
    /// It was in flight when the guest was copied: see [`DiskPort::abandon`].
    inherited: bool,
    /// It is to fail without being carried out: see [`Policy::Error`](super::Policy::Error).
    doomed: bool,
    /// `None` while it waits.
    running: Option<Running<T>>,
}

/// What carries a request out.
struct Running<T> {
    /// Transfers whose completions were not read.
    left: usize,
    /// One of them did not do all it should.
    failed: bool,
    /// The file system does not know how to.
    unsupported: bool,
    bounce: Option<Bounce>,
    ticket: T,
}

/// A transfer that was handed to the engine, or is about to be.
struct Part {
    order: u64,
    file: Arc<File>,
    offset: u64,
    kind: Kind,
}

/// One disk's worker: `M` is guest memory, `P` pins it, `D` is the disk, `E` moves the bytes.
pub struct BlkWorker<M, P, D: DiskPort, E> {
    ports: Ports<M, P, D, E>,
    config: BlkConfig,
    signals: Arc<Signals>,
    queues: Queues,
    /// By order of submission.
    jobs: BTreeMap<u64, Job<D::Ticket>>,
    /// The jobs by queue and head.
    heads: BTreeMap<(u16, u16), u64>,
    waiting: VecDeque<u64>,
    /// Jobs whose transfers have ended and whose end was busy.
    stalled: VecDeque<u64>,
    /// By transfer.
    parts: BTreeMap<u64, Part>,
    unsent: VecDeque<Transfer>,
    next_order: u64,
    next_transfer: u64,
    /// Memory in bounce buffers, in bytes.
    bounced: usize,
    resetting: bool,
    /// Guest memory could not be written without waiting for pins.
    blocked: bool,
    counts: BlkCounts,
    scratch: Vec<Completion>,
}

impl<M, P, D, E> BlkWorker<M, P, D, E>
where
    M: GuestMemory,
    P: Pinner,
    D: DiskPort,
    E: Engine,
{
    /// The worker of a disk whose driver is not ready yet.
    #[must_use]
    pub fn new(ports: Ports<M, P, D, E>, config: BlkConfig, signals: Arc<Signals>) -> Self {
        Self {
            ports,
            config,
            signals,
            queues: Queues::default(),
            jobs: BTreeMap::new(),
            heads: BTreeMap::new(),
            waiting: VecDeque::new(),
            stalled: VecDeque::new(),
            parts: BTreeMap::new(),
            unsent: VecDeque::new(),
            next_order: 0,
            next_transfer: 0,
            bounced: 0,
            resetting: false,
            blocked: false,
            counts: BlkCounts::default(),
            scratch: Vec::new(),
        }
    }

    /// Takes the queues of a driver that is ready.
    pub fn activate(&mut self, activation: Activation) {
        self.queues = Queues::new(activation.queues);
    }

    /// Forgets queues and requests. Transfers in flight are waited for by later [steps](Self::step), with
    /// their pins, and written nowhere else.
    pub fn reset(&mut self) -> Reset {
        self.queues = Queues::default();
        self.heads.clear();
        for order in std::mem::take(&mut self.waiting) {
            let Some(job) = self.jobs.remove(&order) else { continue };
            self.abandon(&job);
        }
        for transfer in std::mem::take(&mut self.unsent) {
            match self.is_flush(transfer.id) {
                // It may be the disk's own business by now, which is brought to an end.
                true => self.unsent.push_back(transfer),
                false => self.part_ended(transfer.id, false),
            }
        }
        self.resetting = !self.jobs.is_empty();
        match self.resetting {
            true => Reset::Pending,
            false => Reset::Done,
        }
    }

    /// Does what can be done now: reads completions, begins what waited, takes new requests,
    /// hands transfers to the kernel, tells the driver.
    ///
    /// Doorbells are asked for by a step that finds nothing else to do, and declined by the next that
    /// does: while the worker is at it, it looks again anyway.
    pub fn step(&mut self) -> Next {
        self.blocked = !self.may_use_rings();
        let answered = self.read_completions(Self::decline_doorbells);
        self.begin_waiting();
        self.end_reset();
        if answered {
            self.linger();
        }
        let mut taken = self.take_all(Doorbell::AsItIs);
        if !answered && !taken {
            taken = self.take_all(Doorbell::Wanted);
        }
        let stuck = self.send();
        self.queues.tell_driver(&self.ports.memory, &self.signals);
        match (answered || taken, stuck || self.is_waiting()) {
            (true, _) => Next::Now,
            (false, true) => Next::Soon,
            (false, false) => Next::Idle,
        }
    }

    /// What was done so far.
    #[must_use]
    pub fn counts(&self) -> BlkCounts {
        self.counts
    }

    /// Requests in flight, as a driver sees it: the length of the ledger.
    #[must_use]
    pub fn requests_in_flight(&self) -> usize {
        self.heads.len()
    }

    /// The parts that it was made of, for those who look at counts or change a disk.
    pub fn ports(&mut self) -> &mut Ports<M, P, D, E> {
        &mut self.ports
    }

    /// The disk's options, and what follows from them.
    #[must_use]
    pub fn config(&self) -> &BlkConfig {
        &self.config
    }

    /// Whether something was busy that nothing tells the end of.
    fn is_waiting(&self) -> bool {
        self.blocked || !self.waiting.is_empty() || !self.stalled.is_empty()
    }

    fn is_flush(&self, transfer: u64) -> bool {
        let job = self.parts.get(&transfer).and_then(|part| self.jobs.get(&part.order));
        job.is_some_and(|job| job.request.kind == RequestKind::Flush)
    }

    /// Tells the disk of a request that is not done and was inherited.
    fn abandon(&mut self, job: &Job<D::Ticket>) {
        if let (true, Some(operation)) = (job.inherited, Operation::of(&job.request)) {
            self.ports.disk.abandon(operation);
        }
    }

    /// Gives transfers to the engine, as many as it takes, and those to the kernel. Whether some are
    /// left.
    fn send(&mut self) -> bool {
        while let Some(transfer) = self.unsent.pop_front() {
            let id = transfer.id;
            let Err(refused) = self.ports.engine.submit(transfer) else {
                self.counts.transfers += 1;
                continue;
            };
            if refused.reason.kind() == std::io::ErrorKind::WouldBlock {
                self.unsent.push_front(*refused.transfer);
                break;
            }
            drop(refused);
            self.part_ended(id, false);
        }
        let refused = self.ports.engine.flush().is_err();
        refused || !self.unsent.is_empty() && self.ports.engine.pending() == 0
    }
}
