//! What a transport asks of a device.

use std::sync::Arc;

use virtio_queue::Queue;
use vmm_sys_util::eventfd::EventFd;

use super::signals::Signals;

/// What a device is given when the driver is ready.
pub struct Activation {
    /// The features that were agreed on.
    pub features: u64,
    /// A queue each, in order; `None` for one that the driver does not use. Their rings lie within
    /// guest memory.
    pub queues: Vec<Option<Queue>>,
}

/// How a reset went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The device is as new.
    Done,
    /// Transfers are in flight. The device calls [`Signals::reset_done`] when the last has ended.
    Pending,
}

/// A virtio device as its transport sees it. Called from vCPU threads.
pub trait Device: Send + Sync {
    /// The device ID (virtio 1.2, section 5).
    fn device_id(&self) -> u32;

    /// Everything that it offers, [`COMMON`](super::COMMON) included.
    fn features(&self) -> u64;

    /// The largest size of each queue: powers of two up to 32768.
    fn queue_sizes(&self) -> Vec<u16>;

    /// Fills `data` with the configuration space from `offset` on. What lies beyond stays as it is.
    fn read_config(&self, offset: u64, data: &mut [u8]);

    /// The driver writes `data` at `offset` of the configuration space. Whether it may: where it may not,
    /// nothing changes.
    fn write_config(&self, offset: u64, data: &[u8]) -> bool;

    /// What wakes the device's thread when the driver has rung the doorbell of one of its queues. It
    /// does not block, and is rung at any time: by the transport in a state in which the driver may,
    /// and by a kernel that watches the register in every state and as often as the guest likes.
    fn bell(&self, queue: u16) -> &Arc<EventFd>;

    /// What the device shares with its transport.
    fn signals(&self) -> &Arc<Signals>;

    /// Whether a queue's rings lie in guest memory.
    fn accepts(&self, queue: &Queue) -> bool;

    /// Starts work. Comes once, and again only after a reset is done.
    fn activate(&self, activation: Activation);

    /// Stops work and forgets queues and requests. Nothing is written to guest memory any more by
    /// the time that it is done.
    fn reset(&self) -> Reset;
}
