//! The device that a transport talks to.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use virtio_bindings::virtio_ids::VIRTIO_ID_BALLOON;
use virtio_queue::Queue;
use vm_memory::GuestMemory;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::reclaim::Reclaim;
use super::worker::{BalloonWorker, QUEUE_SIZE, QUEUES};
use crate::virtio::device::{Activation, Device, Reset};
use crate::virtio::features::COMMON;
use crate::virtio::queue::is_usable;
use crate::virtio::reactor::{Driven, Next};
use crate::virtio::signals::Signals;

/// The driver may take pages back when it has no others (section 5.5.3).
const VIRTIO_BALLOON_F_DEFLATE_ON_OOM: u32 = 2;
/// Free ranges are reported.
const VIRTIO_BALLOON_F_PAGE_REPORTING: u32 = 5;

/// A balloon: its worker behind a lock, and the doorbell.
pub struct Balloon<M, R> {
    signals: Arc<Signals>,
    worker: Mutex<BalloonWorker<M, R>>,
    bell: Arc<EventFd>,
}

impl<M: GuestMemory, R: Reclaim> Balloon<M, R> {
    /// The device of `worker`, which shares `signals` with it.
    ///
    /// # Errors
    /// When the kernel gives no event counter.
    pub fn new(worker: BalloonWorker<M, R>, signals: Arc<Signals>) -> io::Result<Self> {
        let bell = Arc::new(EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?);
        Ok(Self { signals, worker: Mutex::new(worker), bell })
    }

    /// Stops the device between two pieces of a request, for as long as the guard lives.
    pub fn park(&self) -> MutexGuard<'_, BalloonWorker<M, R>> {
        self.worker.lock()
    }
}

impl<M: GuestMemory + Send, R: Reclaim> Device for Balloon<M, R> {
    fn device_id(&self) -> u32 {
        VIRTIO_ID_BALLOON
    }

    fn features(&self) -> u64 {
        COMMON | 1 << VIRTIO_BALLOON_F_DEFLATE_ON_OOM | 1 << VIRTIO_BALLOON_F_PAGE_REPORTING
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![QUEUE_SIZE; QUEUES]
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        self.worker.lock().size().read(offset, data);
    }

    fn write_config(&self, offset: u64, data: &[u8]) -> bool {
        self.worker.lock().write_size(offset, data)
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

impl<M: GuestMemory + Send, R: Reclaim> Driven for Balloon<M, R> {
    fn step(&self) -> Next {
        self.park().step()
    }

    fn source(&self) -> Option<RawFd> {
        None
    }
}
