//! The device that a transport talks to.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use virtio_bindings::virtio_ids::VIRTIO_ID_BLOCK;
use virtio_queue::Queue;
use vm_memory::GuestMemory;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::config::BlkConfig;
use super::ports::{DiskPort, Pinner};
use super::worker::BlkWorker;
use crate::io::Engine;
use crate::virtio::device::{Activation, Device, Reset};
use crate::virtio::queue::is_usable;
use crate::virtio::reactor::{Driven, Next};
use crate::virtio::signals::Signals;

/// A disk: its worker behind a lock, and the doorbell.
///
/// The lock is taken for one step at a time and never while anyone waits for storage, so vCPU
/// threads and whoever stops the machine get it soon.
pub struct Blk<M, P, D: DiskPort, E> {
    config: BlkConfig,
    signals: Arc<Signals>,
    worker: Mutex<BlkWorker<M, P, D, E>>,
    /// One for all queues: a step of the worker looks at each of them.
    bell: Arc<EventFd>,
    event_fd: RawFd,
}

impl<M, P, D, E> Blk<M, P, D, E>
where
    M: GuestMemory,
    P: Pinner,
    D: DiskPort,
    E: Engine,
{
    /// The device of `worker`, which shares `signals` with it.
    ///
    /// # Errors
    /// When the kernel gives no event counter.
    pub fn new(worker: BlkWorker<M, P, D, E>, signals: Arc<Signals>) -> io::Result<Self> {
        let config = worker.config().clone();
        let event_fd = worker.event_fd();
        let bell = Arc::new(EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?);
        Ok(Self { config, signals, worker: Mutex::new(worker), bell, event_fd })
    }

    /// Stops the device between two completions, for as long as the guard lives.
    pub fn park(&self) -> MutexGuard<'_, BlkWorker<M, P, D, E>> {
        self.worker.lock()
    }

    /// Makes the [`Reactor`](crate::virtio::Reactor) look at all queues.
    fn ring(&self) {
        // It fails only where the counter is full, and then it is readable anyway.
        let _ = self.bell.write(1);
    }
}

impl<M, P, D, E> Device for Blk<M, P, D, E>
where
    M: GuestMemory + Send,
    P: Pinner,
    D: DiskPort,
    E: Engine,
{
    fn device_id(&self) -> u32 {
        VIRTIO_ID_BLOCK
    }

    fn features(&self) -> u64 {
        self.config.features()
    }

    fn queue_sizes(&self) -> Vec<u16> {
        let options = self.config.options();
        vec![options.queue_size; usize::from(options.queues)]
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        self.config.read(offset, data);
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
        is_usable(queue, &self.worker.lock().ports().memory)
    }

    fn activate(&self, activation: Activation) {
        self.worker.lock().activate(activation);
        self.ring();
    }

    fn reset(&self) -> Reset {
        self.worker.lock().reset()
    }
}

impl<M, P, D, E> Driven for Blk<M, P, D, E>
where
    M: GuestMemory + Send,
    P: Pinner,
    D: DiskPort,
    E: Engine,
{
    fn step(&self) -> Next {
        self.park().step()
    }

    /// The engine's completions.
    fn source(&self) -> Option<RawFd> {
        Some(self.event_fd)
    }
}
