//! The device that a transport talks to.

use std::io;
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use virtio_bindings::virtio_ids::VIRTIO_ID_VSOCK;
use virtio_queue::Queue;
use vm_memory::GuestMemory;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::cid::Cid;
use super::worker::{QUEUE_SIZE, QUEUES, VsockWorker};
use crate::virtio::device::{Activation, Device, Reset};
use crate::virtio::features::COMMON;
use crate::virtio::queue::is_usable;
use crate::virtio::reactor::{Driven, Next};
use crate::virtio::signals::Signals;

/// Streams (section 5.10.3), the only kind of socket that is offered.
const VIRTIO_VSOCK_F_STREAM: u32 = 0;

/// Sockets between guest and host: their worker behind a lock, and the doorbell.
pub struct Vsock<M> {
    cid: Cid,
    signals: Arc<Signals>,
    worker: Mutex<VsockWorker<M>>,
    bell: Arc<EventFd>,
}

impl<M: GuestMemory> Vsock<M> {
    /// The device of `worker`.
    ///
    /// # Errors
    /// When the kernel gives no event counter.
    pub fn new(worker: VsockWorker<M>) -> io::Result<Self> {
        let bell = Arc::new(EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?);
        let (cid, signals) = (worker.cid(), Arc::clone(worker.signals()));
        Ok(Self { cid, signals, worker: Mutex::new(worker), bell })
    }

    /// Stops the device between two packets, for as long as the guard lives.
    pub fn park(&self) -> MutexGuard<'_, VsockWorker<M>> {
        self.worker.lock()
    }

    /// Takes in a stream whose other end is a program of the host. What it says first is `CONNECT PORT`.
    ///
    /// # Errors
    /// When too many wait, or the stream cannot be had without blocking.
    pub fn adopt(&self, stream: UnixStream) -> io::Result<()> {
        self.park().adopt(stream)?;
        // It fails only where the counter is full, and then it is readable anyway.
        let _ = self.bell.write(1);
        Ok(())
    }
}

impl<M: GuestMemory + Send> Device for Vsock<M> {
    fn device_id(&self) -> u32 {
        VIRTIO_ID_VSOCK
    }

    fn features(&self) -> u64 {
        COMMON | 1 << VIRTIO_VSOCK_F_STREAM
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![QUEUE_SIZE; QUEUES]
    }

    /// The CID (section 5.10.4).
    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let Ok(offset) = usize::try_from(offset) else { return };
        let space = self.cid.wide().to_le_bytes();
        for (byte, value) in data.iter_mut().zip(space.into_iter().skip(offset)) {
            *byte = value;
        }
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
        // It fails only where the counter is full, and then it is readable anyway.
        let _ = self.bell.write(1);
    }

    fn reset(&self) -> Reset {
        self.worker.lock().reset();
        Reset::Done
    }
}

impl<M: GuestMemory + Send> Driven for Vsock<M> {
    fn step(&self) -> Next {
        self.park().step()
    }

    fn source(&self) -> Option<RawFd> {
        Some(self.park().source())
    }
}
