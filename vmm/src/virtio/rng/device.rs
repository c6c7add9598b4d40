//! The device that a transport talks to.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use virtio_bindings::virtio_ids::VIRTIO_ID_RNG;
use virtio_queue::Queue;
use vm_memory::GuestMemory;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::entropy::Entropy;
use super::worker::{QUEUE_SIZE, RngWorker};
use crate::virtio::device::{Activation, Device, Reset};
use crate::virtio::features::COMMON;
use crate::virtio::queue::is_usable;
use crate::virtio::reactor::{Driven, Next};
use crate::virtio::signals::Signals;

/// A source of random bytes: its worker behind a lock, and the doorbell.
pub struct Rng<M, S> {
    signals: Arc<Signals>,
    worker: Mutex<RngWorker<M, S>>,
    bell: Arc<EventFd>,
}

impl<M: GuestMemory, S: Entropy> Rng<M, S> {
    /// The device of `worker`, which shares `signals` with it.
    ///
    /// # Errors
    /// When the kernel gives no event counter.
    pub fn new(worker: RngWorker<M, S>, signals: Arc<Signals>) -> io::Result<Self> {
        let bell = Arc::new(EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?);
        Ok(Self { signals, worker: Mutex::new(worker), bell })
    }

    /// Stops the device between two requests, for as long as the guard lives.
    pub fn park(&self) -> MutexGuard<'_, RngWorker<M, S>> {
        self.worker.lock()
    }
}

impl<M: GuestMemory + Send, S: Entropy> Device for Rng<M, S> {
    fn device_id(&self) -> u32 {
        VIRTIO_ID_RNG
    }

    fn features(&self) -> u64 {
        COMMON
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![QUEUE_SIZE]
    }

    /// There is no configuration space (section 5.4.4).
    fn read_config(&self, _offset: u64, _data: &mut [u8]) {}

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
        // It fails only where the counter is full, and then it is readable anyway.
        let _ = self.bell.write(1);
    }

    fn reset(&self) -> Reset {
        self.worker.lock().reset();
        Reset::Done
    }
}

impl<M: GuestMemory + Send, S: Entropy> Driven for Rng<M, S> {
    fn step(&self) -> Next {
        self.park().step()
    }

    fn source(&self) -> Option<RawFd> {
        None
    }
}
