//! The device that a transport talks to.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use virtio_bindings::virtio_ids::VIRTIO_ID_NET;
use virtio_queue::Queue;
use vm_memory::GuestMemory;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::config::{Card, FEATURES};
use super::frames::Link;
use super::worker::{NetWorker, QUEUE_SIZE, QUEUES};
use crate::virtio::device::{Activation, Device, Reset};
use crate::virtio::queue::is_usable;
use crate::virtio::reactor::{Driven, Next};
use crate::virtio::signals::Signals;

/// A network card: its worker behind a lock, and the doorbell.
pub struct Net<M> {
    card: Arc<Card>,
    signals: Arc<Signals>,
    worker: Mutex<NetWorker<M>>,
    bell: Arc<EventFd>,
}

impl<M: GuestMemory> Net<M> {
    /// The device of `worker`.
    ///
    /// # Errors
    /// When the kernel gives no event counter.
    pub fn new(worker: NetWorker<M>) -> io::Result<Self> {
        let bell = Arc::new(EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?);
        let (card, signals) = (Arc::clone(worker.card()), Arc::clone(worker.signals()));
        Ok(Self { card, signals, worker: Mutex::new(worker), bell })
    }

    /// Stops the device between two frames, for as long as the guard lives.
    pub fn park(&self) -> MutexGuard<'_, NetWorker<M>> {
        self.worker.lock()
    }

    /// Plugs the card into `link`, or into nothing, and tells the driver.
    pub fn connect(&self, link: Option<Link>) {
        self.worker.lock().connect(link);
        self.ring();
    }

    fn ring(&self) {
        // It fails only where the counter is full, and then it is readable anyway.
        let _ = self.bell.write(1);
    }
}

impl<M: GuestMemory + Send> Device for Net<M> {
    fn device_id(&self) -> u32 {
        VIRTIO_ID_NET
    }

    fn features(&self) -> u64 {
        FEATURES
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![QUEUE_SIZE; QUEUES]
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        self.card.read(offset, data);
    }

    /// Nothing in it is the driver's to write.
    fn write_config(&self, _offset: u64, _data: &[u8]) -> bool {
        false
    }

    fn bell(&self, _queue: u16) -> &Arc<EventFd> {
        &self.bell
    }

    fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }

    fn accepts(&self, queue: &Queue) -> bool {
        is_usable(queue, self.worker.lock().memory())
    }

    fn activate(&self, activation: Activation) {
        self.worker.lock().activate(activation);
        self.ring();
    }

    fn reset(&self) -> Reset {
        self.worker.lock().reset();
        Reset::Done
    }
}

impl<M: GuestMemory + Send> Driven for Net<M> {
    fn step(&self) -> Next {
        self.park().step()
    }

    fn source(&self) -> Option<RawFd> {
        self.park().source()
    }
}
