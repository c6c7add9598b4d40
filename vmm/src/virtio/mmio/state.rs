//! A transport as plain data.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use virtio_bindings::virtio_config::{
    VIRTIO_CONFIG_S_DRIVER_OK as DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK as FEATURES_OK,
};
use virtio_bindings::virtio_mmio as reg;
use virtio_queue::{Queue, QueueState};

use super::{Device, Mmio, Registers};
use crate::virtio::signals::SignalsState;

/// Counts of what a driver did that no well-behaved driver does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MmioCounts {
    /// Reads of a size or at a place that has no register.
    pub refused_reads: u64,
    /// Writes of a size, at a place, in a state or with a value that they may not have.
    pub refused_writes: u64,
}

/// The registers of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRegisters {
    /// QueueNumMax, which the device chose.
    pub max_size: u16,
    /// QueueNum, in entries.
    pub size: u32,
    /// QueueReady.
    pub ready: bool,
    /// Guest-physical address of the descriptor table.
    pub desc_table: u64,
    /// Guest-physical address of the available ring.
    pub avail_ring: u64,
    /// Guest-physical address of the used ring.
    pub used_ring: u64,
}

impl QueueRegisters {
    pub(super) fn new(max_size: u16) -> Self {
        let (desc_table, avail_ring, used_ring) = (0, 0, 0);
        Self { max_size, size: max_size.into(), ready: false, desc_table, avail_ring, used_ring }
    }

    /// A write by the driver. `None` where there is no such register, or the queue is ready.
    pub(super) fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        if offset == reg::VIRTIO_MMIO_QUEUE_READY && value <= 1 {
            self.ready = value == 1;
            return Some(());
        }
        if self.ready {
            return None;
        }
        let low = |old: u64| old >> 32 << 32 | u64::from(value);
        let high = |old: u64| u64::from(old as u32) | u64::from(value) << 32;
        match offset {
            reg::VIRTIO_MMIO_QUEUE_NUM => self.size = value,
            reg::VIRTIO_MMIO_QUEUE_DESC_LOW => self.desc_table = low(self.desc_table),
            reg::VIRTIO_MMIO_QUEUE_DESC_HIGH => self.desc_table = high(self.desc_table),
            reg::VIRTIO_MMIO_QUEUE_AVAIL_LOW => self.avail_ring = low(self.avail_ring),
            reg::VIRTIO_MMIO_QUEUE_AVAIL_HIGH => self.avail_ring = high(self.avail_ring),
            reg::VIRTIO_MMIO_QUEUE_USED_LOW => self.used_ring = low(self.used_ring),
            reg::VIRTIO_MMIO_QUEUE_USED_HIGH => self.used_ring = high(self.used_ring),
            _ => return None,
        }
        Some(())
    }

    /// A queue at its beginning. `None` when a size or an alignment is wrong.
    pub(super) fn live(&self, event_idx: bool) -> Option<Queue> {
        let state = QueueState {
            max_size: self.max_size,
            next_avail: 0,
            next_used: 0,
            event_idx_enabled: event_idx,
            size: u16::try_from(self.size).ok()?,
            ready: self.ready,
            desc_table: self.desc_table,
            avail_ring: self.avail_ring,
            used_ring: self.used_ring,
        };
        Queue::try_from(state).ok()
    }
}

/// A transport's registers. Untrusted: see [`Mmio::restore`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MmioState {
    /// Status, interrupt status and generation.
    pub signals: SignalsState,
    /// DeviceFeaturesSel.
    pub device_features_page: u32,
    /// DriverFeaturesSel.
    pub driver_features_page: u32,
    /// What the driver took.
    pub driver_features: u64,
    /// QueueSel.
    pub queue: u32,
    /// One each.
    pub queues: Vec<QueueRegisters>,
}

/// A saved transport that was not made live.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MmioError {
    /// The status or interrupt bits are not those of a device.
    #[error("saved virtio device: {0:?} are not a device's: it was damaged")]
    Signals(SignalsState),
    /// The features were not offered.
    #[error(
        "saved virtio device: the driver took features {taken:#x} where {offered:#x} are offered: \
         restore it as the kind of device that it was, with the options that it had"
    )]
    Features {
        /// What the state has.
        taken: u64,
        /// What the device has.
        offered: u64,
    },
    /// The queues are not those of the device.
    #[error("saved virtio device: its {found} queues are not the {expected} of this device")]
    Queues {
        /// How many the state has.
        found: usize,
        /// How many the device has.
        expected: usize,
    },
}

impl Mmio {
    /// The registers. A reset that is under way is done in the copy, which has no transfers.
    /// vCPUs and the device must be stopped.
    #[must_use]
    pub fn save(&self) -> MmioState {
        let registers = self.registers.lock().clone();
        MmioState {
            signals: self.device.signals().save(),
            device_features_page: registers.device_features_page,
            driver_features_page: registers.driver_features_page,
            driver_features: registers.driver_features,
            queue: registers.queue,
            queues: registers.queues,
        }
    }

    /// The transport of `device`, which is restored already and has the signals of `state`.
    ///
    /// # Errors
    /// [`MmioError`] when `device` cannot be in that state.
    pub fn restore(state: &MmioState, device: Arc<dyn Device>) -> Result<Self, MmioError> {
        if !state.signals.is_valid() {
            return Err(MmioError::Signals(state.signals));
        }
        let (taken, offered) = (state.driver_features, device.features());
        let agreed = state.signals.status & FEATURES_OK != 0;
        if agreed && taken & !offered != 0 {
            return Err(MmioError::Features { taken, offered });
        }
        let sizes = device.queue_sizes();
        let same = sizes.len() == state.queues.len()
            && sizes.iter().zip(&state.queues).all(|(&size, queue)| queue.max_size == size);
        let live = state.signals.status & DRIVER_OK != 0;
        let usable = state.queues.iter().all(|queue| !queue.ready || queue.live(false).is_some());
        if !same || live && !usable {
            return Err(MmioError::Queues { found: state.queues.len(), expected: sizes.len() });
        }
        let registers = Registers {
            device_features_page: state.device_features_page,
            driver_features_page: state.driver_features_page,
            driver_features: state.driver_features,
            queue: state.queue,
            queues: state.queues.clone(),
            counts: MmioCounts::default(),
        };
        Ok(Self { device, registers: Mutex::new(registers) })
    }
}
