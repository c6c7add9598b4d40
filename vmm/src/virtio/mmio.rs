//! The transport: memory-mapped registers, version 2 (virtio 1.2, section 4.2).
//!
//! Registers are 32 bits wide and accessed as such; the configuration space after them also takes
//! aligned accesses of 8, 16 and 64 bits. Anything else is refused: reads give all-ones, writes
//! change nothing, and both are counted. So is what a driver may not do in the state in which the
//! device is.
//!
//! # Doorbells
//!
//! A write of a queue's number to QueueNotify does nothing but wake the device's thread, so the
//! kernel may watch for it ([`Mmio::doorbells`](MmioDevice::doorbells)) and the vCPU stays in its
//! guest. It watches in every state of the device: a doorbell before DRIVER_OK, during a reset or
//! after DEVICE_NEEDS_RESET then wakes a thread that finds nothing to do, where one that comes here
//! is refused and counted. Numbers of no queue and other widths always come here.
//!
//! # A reset
//!
//! Writing 0 to the status stops the device. While the kernel still has transfers for it, the
//! status keeps its old value and writes change nothing; it reads 0 once the last has ended, for
//! which section 4.2.3.1 has drivers wait. A vCPU is never held up by a disk here.
//!
//! # Queues of a live device
//!
//! Queue registers can be written until DRIVER_OK, and not while the queue is ready. After that
//! only a reset takes a queue away: QueueReady keeps reading 1, which tells a driver that wanted to
//! stop one queue that it was not stopped (section 4.2.2.2).

use std::sync::Arc;

use parking_lot::Mutex;
use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::virtio_config::{
    VIRTIO_CONFIG_S_ACKNOWLEDGE as ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER as DRIVER,
    VIRTIO_CONFIG_S_DRIVER_OK as DRIVER_OK, VIRTIO_CONFIG_S_FAILED as FAILED,
    VIRTIO_CONFIG_S_FEATURES_OK as FEATURES_OK,
};
use virtio_bindings::virtio_mmio as reg;
use virtio_bindings::virtio_ring::VIRTIO_RING_F_EVENT_IDX;
use virtio_queue::Queue;

use super::device::{Activation, Device, Reset};
use super::features::has;
use crate::devices::bus::{Doorbell, Flow, MmioDevice};

mod state;
#[cfg(test)]
mod tests;

pub use state::{MmioCounts, MmioError, MmioState, QueueRegisters};

/// The bytes that the registers and the configuration space take on the bus.
pub const REGISTERS_LEN: u64 = 0x1000;

/// "virt", the first register.
const MAGIC: u32 = 0x7472_6976;
const VERSION: u32 = 2;
/// "pinc": no vendor ID is registered for this monitor, and drivers do not care.
const VENDOR: u32 = 0x636e_6970;
/// What a shared memory region that does not exist has for length and base.
const NO_REGION: u32 = u32::MAX;

/// What the driver has written.
#[derive(Clone, Default)]
struct Registers {
    device_features_page: u32,
    driver_features_page: u32,
    driver_features: u64,
    queue: u32,
    queues: Vec<QueueRegisters>,
    counts: MmioCounts,
}

/// A device's registers on the bus.
pub struct Mmio {
    device: Arc<dyn Device>,
    registers: Mutex<Registers>,
}

impl Mmio {
    /// The registers of `device`, which was just made.
    #[must_use]
    pub fn new(device: Arc<dyn Device>) -> Self {
        let mut registers = Registers::default();
        registers.reset(&device.queue_sizes());
        Self { device, registers: Mutex::new(registers) }
    }

    /// What no well-behaved driver does.
    #[must_use]
    pub fn counts(&self) -> MmioCounts {
        self.registers.lock().counts
    }

    fn read_register(&self, registers: &mut Registers, offset: u32) -> Option<u32> {
        let signals = self.device.signals();
        Some(match offset {
            reg::VIRTIO_MMIO_MAGIC_VALUE => MAGIC,
            reg::VIRTIO_MMIO_VERSION => VERSION,
            reg::VIRTIO_MMIO_DEVICE_ID => self.device.device_id(),
            reg::VIRTIO_MMIO_VENDOR_ID => VENDOR,
            reg::VIRTIO_MMIO_DEVICE_FEATURES => match registers.device_features_page {
                0 => self.device.features() as u32,
                1 => (self.device.features() >> 32) as u32,
                _ => 0,
            },
            reg::VIRTIO_MMIO_QUEUE_NUM_MAX => registers.selected().map_or(0, |q| q.max_size.into()),
            reg::VIRTIO_MMIO_QUEUE_READY => registers.selected().map_or(0, |q| q.ready.into()),
            reg::VIRTIO_MMIO_INTERRUPT_STATUS => signals.interrupt_status(),
            reg::VIRTIO_MMIO_STATUS => signals.status(),
            reg::VIRTIO_MMIO_SHM_LEN_LOW..=reg::VIRTIO_MMIO_SHM_BASE_HIGH => NO_REGION,
            reg::VIRTIO_MMIO_CONFIG_GENERATION => signals.generation(),
            _ => return None,
        })
    }

    /// `None` when the driver may not do that, or not now.
    fn write_register(&self, registers: &mut Registers, offset: u32, value: u32) -> Option<()> {
        let signals = self.device.signals();
        let status = signals.status();
        match offset {
            reg::VIRTIO_MMIO_INTERRUPT_ACK => signals.acknowledge(value),
            _ if signals.is_resetting() => return None,
            reg::VIRTIO_MMIO_DEVICE_FEATURES_SEL => registers.device_features_page = value,
            reg::VIRTIO_MMIO_DRIVER_FEATURES_SEL => registers.driver_features_page = value,
            reg::VIRTIO_MMIO_DRIVER_FEATURES if status & FEATURES_OK == 0 => {
                let shift = match registers.driver_features_page {
                    page @ (0 | 1) => page * 32,
                    _ if value == 0 => return Some(()),
                    _ => return None,
                };
                registers.driver_features &= !(u64::from(u32::MAX) << shift);
                registers.driver_features |= u64::from(value) << shift;
            }
            reg::VIRTIO_MMIO_QUEUE_SEL => registers.queue = value,
            reg::VIRTIO_MMIO_QUEUE_NOTIFY => {
                let queue = u16::try_from(value).ok()?;
                let ready = registers.queues.get(usize::from(queue)).is_some_and(|q| q.ready);
                if !ready || !signals.is_live() {
                    return None;
                }
                // It fails only where the counter is full, and then the device is awake.
                let _ = self.device.bell(queue).write(1);
            }
            reg::VIRTIO_MMIO_STATUS => self.write_status(registers, status, value)?,
            reg::VIRTIO_MMIO_SHM_SEL => {}
            _ if status & DRIVER_OK == 0 => registers.selected()?.write(offset, value)?,
            _ => return None,
        }
        Some(())
    }

    fn write_status(&self, registers: &mut Registers, old: u32, value: u32) -> Option<()> {
        let signals = self.device.signals();
        if value == 0 {
            registers.reset(&self.device.queue_sizes());
            signals.begin_reset();
            if self.device.reset() == Reset::Done {
                signals.reset_done();
            }
            return Some(());
        }
        let steps = [
            (ACKNOWLEDGE, 0),
            (DRIVER, ACKNOWLEDGE),
            (FEATURES_OK, DRIVER),
            (DRIVER_OK, FEATURES_OK),
        ];
        let all = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;
        if old & all & !value != 0 {
            // Bits are set one after the other, and cleared by a reset only (section 2.1.1).
            return None;
        }
        signals.add_status(value & FAILED);
        for (bit, needed) in steps {
            if value & bit == 0 || old & bit != 0 {
                continue;
            }
            if signals.status() & needed != needed {
                return None;
            }
            match bit {
                FEATURES_OK if !self.may_agree(registers.driver_features) => return None,
                DRIVER_OK => self.activate(registers),
                _ => signals.add_status(bit),
            }
        }
        Some(())
    }

    /// Whether FEATURES_OK is granted (section 3.1.1, steps 5 and 6).
    fn may_agree(&self, features: u64) -> bool {
        features & !self.device.features() == 0 && has(features, VIRTIO_F_VERSION_1)
    }

    /// Gives the device its queues, or breaks it if they are none.
    fn activate(&self, registers: &Registers) {
        let signals = self.device.signals();
        let event_idx = has(registers.driver_features, VIRTIO_RING_F_EVENT_IDX);
        let queues: Option<Vec<Option<Queue>>> = registers
            .queues
            .iter()
            .map(|queue| match queue.ready {
                false => Some(None),
                true => queue.live(event_idx).filter(|q| self.device.accepts(q)).map(Some),
            })
            .collect();
        signals.add_status(DRIVER_OK);
        match queues {
            Some(queues) => {
                let features = registers.driver_features;
                self.device.activate(Activation { features, queues });
            }
            None => signals.broken(),
        }
    }
}

impl Registers {
    /// As after power-on. Counts stay.
    fn reset(&mut self, sizes: &[u16]) {
        let queues = sizes.iter().map(|&size| QueueRegisters::new(size)).collect();
        *self = Self { queues, counts: self.counts, ..Self::default() };
    }

    fn selected(&mut self) -> Option<&mut QueueRegisters> {
        self.queues.get_mut(usize::try_from(self.queue).ok()?)
    }
}

impl MmioDevice for Mmio {
    fn read(&self, offset: u64, data: &mut [u8]) -> Flow {
        let config = u64::from(reg::VIRTIO_MMIO_CONFIG);
        let aligned = data.len().is_power_of_two() && offset.is_multiple_of(data.len() as u64);
        let mut registers = self.registers.lock();
        match (offset.checked_sub(config), data.len()) {
            (Some(offset), 1 | 2 | 4 | 8) if aligned => self.device.read_config(offset, data),
            (None, 4) if aligned => match self.read_register(&mut registers, offset as u32) {
                Some(value) => data.copy_from_slice(&value.to_le_bytes()),
                None => registers.counts.refused_reads += 1,
            },
            _ => registers.counts.refused_reads += 1,
        }
        Flow::Continue
    }

    fn write(&self, offset: u64, data: &[u8]) -> Flow {
        let mut registers = self.registers.lock();
        let value = <[u8; 4]>::try_from(data).map(u32::from_le_bytes).ok();
        let done = match (offset.checked_sub(reg::VIRTIO_MMIO_CONFIG.into()), value) {
            (Some(offset), _) => {
                let aligned =
                    matches!(data.len(), 1 | 2 | 4 | 8) && offset.is_multiple_of(data.len() as u64);
                (aligned && self.device.write_config(offset, data)).then_some(())
            }
            (None, Some(value)) if offset.is_multiple_of(4) => {
                self.write_register(&mut registers, offset as u32, value)
            }
            (None, _) => None,
        };
        if done.is_none() {
            registers.counts.refused_writes += 1;
        }
        Flow::Continue
    }

    fn doorbells(&self) -> Vec<Doorbell> {
        let queues = self.device.queue_sizes().len();
        let bell = |queue| Doorbell {
            offset: reg::VIRTIO_MMIO_QUEUE_NOTIFY.into(),
            value: u32::from(queue),
            event: Arc::clone(self.device.bell(queue)),
        };
        (0..queues).filter_map(|queue| u16::try_from(queue).ok()).map(bell).collect()
    }
}
