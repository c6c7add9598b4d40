//! The registers that a device and its transport both change: device status, interrupt status,
//! configuration generation.

use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};
use virtio_bindings::virtio_config::{
    VIRTIO_CONFIG_S_ACKNOWLEDGE as ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER as DRIVER,
    VIRTIO_CONFIG_S_DRIVER_OK as DRIVER_OK, VIRTIO_CONFIG_S_FAILED as FAILED,
    VIRTIO_CONFIG_S_FEATURES_OK as FEATURES_OK, VIRTIO_CONFIG_S_NEEDS_RESET as NEEDS_RESET,
};
use virtio_bindings::virtio_mmio::{
    VIRTIO_MMIO_INT_CONFIG as CONFIG_CHANGED, VIRTIO_MMIO_INT_VRING as BUFFERS_USED,
};

pub use crate::devices::Interrupt;

#[cfg(test)]
mod tests;

/// Not a bit that a driver sees: a reset has begun and transfers are in flight.
const RESETTING: u32 = 1 << 31;

/// All bits that a driver can see.
const VISIBLE: u32 = ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK | NEEDS_RESET | FAILED;

/// [`Signals`] as plain data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalsState {
    /// Device status.
    pub status: u32,
    /// Interrupt status.
    pub interrupt: u32,
    /// Configuration generation.
    pub generation: u32,
}

impl SignalsState {
    /// Whether a device can be in this state. A reset that is under way cannot be saved.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.status & !VISIBLE == 0 && self.interrupt & !(BUFFERS_USED | CONFIG_CHANGED) == 0
    }
}

/// Status and interrupts of one device.
pub struct Signals {
    status: AtomicU32,
    interrupt: AtomicU32,
    generation: AtomicU32,
    line: Box<dyn Interrupt>,
}

impl Signals {
    /// Those of a device that was just reset.
    #[must_use]
    pub fn new(line: Box<dyn Interrupt>) -> Self {
        Self::restore(SignalsState::default(), line)
    }

    /// Those that `state` describes, which must be valid. Nothing is raised.
    #[must_use]
    pub fn restore(state: SignalsState, line: Box<dyn Interrupt>) -> Self {
        let SignalsState { status, interrupt, generation } = state;
        Self {
            status: AtomicU32::new(status & VISIBLE),
            interrupt: AtomicU32::new(interrupt),
            generation: AtomicU32::new(generation),
            line,
        }
    }

    /// As plain data. A reset that is under way is done there: the transfers that it waits for
    /// belong to this device alone.
    #[must_use]
    pub fn save(&self) -> SignalsState {
        if self.is_resetting() {
            return SignalsState { generation: self.generation(), ..SignalsState::default() };
        }
        SignalsState {
            status: self.status(),
            interrupt: self.interrupt_status(),
            generation: self.generation(),
        }
    }

    /// Device status as a driver reads it. Keeps its value while a reset is under way.
    #[must_use]
    pub fn status(&self) -> u32 {
        self.status.load(Ordering::Acquire) & VISIBLE
    }

    /// Interrupt status.
    #[must_use]
    pub fn interrupt_status(&self) -> u32 {
        self.interrupt.load(Ordering::Acquire)
    }

    /// Configuration generation.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether the driver is ready and the device is neither broken nor being reset.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let status = self.status.load(Ordering::Acquire);
        status & (DRIVER_OK | NEEDS_RESET | RESETTING) == DRIVER_OK
    }

    /// Whether a reset waits for transfers.
    #[must_use]
    pub fn is_resetting(&self) -> bool {
        self.status.load(Ordering::Acquire) & RESETTING != 0
    }

    /// Tells the guest that buffers were used. The status bit is there before the interrupt.
    pub fn buffers_used(&self) {
        self.raise(BUFFERS_USED);
    }

    /// Tells the guest that the configuration has changed. Reads of the space that began before and
    /// end after see two generations.
    pub fn config_changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.raise(CONFIG_CHANGED);
    }

    /// The device cannot go on with what the driver did (section 2.1.1): nothing happens before a
    /// reset. The guest is told if its driver was ready.
    pub fn broken(&self) {
        let before = self.status.fetch_or(NEEDS_RESET, Ordering::AcqRel);
        if before & (DRIVER_OK | NEEDS_RESET | RESETTING) == DRIVER_OK {
            self.raise(CONFIG_CHANGED);
        }
    }

    /// A reset that was [pending](super::Reset::Pending) is done.
    pub fn reset_done(&self) {
        self.interrupt.store(0, Ordering::Release);
        self.status.store(0, Ordering::Release);
    }

    /// Interrupts again if the guest has been told something that it has not acknowledged. After a
    /// restore, since interrupts do not survive one.
    pub fn raise_again(&self) {
        if self.interrupt_status() != 0 {
            // See `raise`.
            let _ = self.line.raise();
        }
    }

    pub(super) fn begin_reset(&self) {
        self.status.fetch_or(RESETTING, Ordering::AcqRel);
    }

    pub(super) fn add_status(&self, bits: u32) {
        self.status.fetch_or(bits & VISIBLE, Ordering::AcqRel);
    }

    /// Clears `bits`. What came in meanwhile is raised again, for lines that only know edges.
    pub(super) fn acknowledge(&self, bits: u32) {
        let before = self.interrupt.fetch_and(!bits, Ordering::AcqRel);
        if before & !bits != 0 {
            // See `raise`.
            let _ = self.line.raise();
        }
    }

    fn raise(&self, bit: u32) {
        self.interrupt.fetch_or(bit, Ordering::AcqRel);
        // A line that is gone has no guest that waits, and one that polls reads the status.
        let _ = self.line.raise();
    }
}
