//! The MMIO bus: guest-physical address ranges, and the device behind each. I/O ports are a second
//! bus of the same kind, whose addresses end at 0xffff.
//!
//! A read of an address that no device claims gives all-ones and a write to one is dropped, as on
//! a PC; both are counted. An access that only partly lies within a device is claimed by nobody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;
use vmm_sys_util::eventfd::EventFd;

#[cfg(test)]
mod tests;

/// What a vCPU does after an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It goes on.
    Continue,
    /// It goes on, but the device gave up waiting because the vCPU is wanted elsewhere.
    Interrupted,
    /// The guest has ended, with this code.
    Exit(u64),
    /// The guest has switched itself off.
    PowerOff,
    /// The guest has pulled its reset line.
    Reset,
    /// The guest's kernel says that it has panicked.
    Panicked,
}

/// A write that wakes a device's thread and does nothing else. The kernel may watch for it, and then
/// it does not come to the bus: no thread of this process leaves its guest for it.
#[derive(Debug, Clone)]
pub struct Doorbell {
    /// Where, in bytes from the start of the device's range.
    pub offset: u64,
    /// The value, 32 bits wide. Writes of other values or widths come to the bus.
    pub value: u32,
    /// What counts them. Non-blocking.
    pub event: Arc<EventFd>,
}

/// A device that the guest reaches through memory addresses.
///
/// Methods are called from any vCPU thread, several at a time, with whatever the guest chose. They
/// must not panic, and may block only for as long as nobody wants the vCPU back.
pub trait MmioDevice: Send + Sync {
    /// The guest reads `data.len()` bytes at `offset` within the device's range. `data` comes
    /// filled with ones.
    fn read(&self, offset: u64, data: &mut [u8]) -> Flow;

    /// The guest writes `data` at `offset` within the device's range.
    fn write(&self, offset: u64, data: &[u8]) -> Flow;

    /// Writes that need not come to [`MmioDevice::write`]: signalling their event is as good, at any
    /// time and any number of times. Most devices have none.
    fn doorbells(&self) -> Vec<Doorbell> {
        Vec::new()
    }
}

/// Why a device was not put on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BusError {
    /// The range is empty or ends beyond the address space.
    #[error("device range {start:#x}+{len_bytes:#x} is empty or wraps: give it a valid range")]
    BadRange {
        /// First guest-physical address.
        start: u64,
        /// Length in bytes.
        len_bytes: u64,
    },
    /// The range overlaps a device that is there already.
    #[error(
        "device range {start:#x}+{len_bytes:#x} overlaps the device at \
         {other_start:#x}+{other_len_bytes:#x}: move one of them"
    )]
    Overlap {
        /// First guest-physical address of the new device.
        start: u64,
        /// Length of the new device in bytes.
        len_bytes: u64,
        /// First guest-physical address of the device that is there.
        other_start: u64,
        /// Its length in bytes.
        other_len_bytes: u64,
    },
}

struct Slot {
    len_bytes: u64,
    device: Arc<dyn MmioDevice>,
}

/// Address ranges and their devices, fixed once the guest runs.
#[derive(Default)]
pub struct MmioBus {
    slots: BTreeMap<u64, Slot>,
    unclaimed_reads: AtomicU64,
    unclaimed_writes: AtomicU64,
}

impl MmioBus {
    /// A bus with no devices.
    pub fn new() -> MmioBus {
        MmioBus::default()
    }

    /// Puts `device` at guest-physical `start`, for `len_bytes` bytes.
    ///
    /// # Errors
    ///
    /// [`BusError`] when the range is no range, or not free.
    pub fn insert(
        &mut self,
        start: u64,
        len_bytes: u64,
        device: Arc<dyn MmioDevice>,
    ) -> Result<(), BusError> {
        let last = match len_bytes.checked_sub(1).and_then(|rest| start.checked_add(rest)) {
            Some(last) => last,
            None => return Err(BusError::BadRange { start, len_bytes }),
        };
        // The nearest device that begins at or below our last byte is the only one to look at: if
        // it ends before us, so do all below it.
        if let Some((&other_start, other)) = self.slots.range(..=last).next_back()
            && other_start + (other.len_bytes - 1) >= start
        {
            let other_len_bytes = other.len_bytes;
            return Err(BusError::Overlap { start, len_bytes, other_start, other_len_bytes });
        }
        self.slots.insert(start, Slot { len_bytes, device });
        Ok(())
    }

    /// The guest reads `data.len()` bytes at guest-physical `address`.
    pub fn read(&self, address: u64, data: &mut [u8]) -> Flow {
        data.fill(0xff);
        match self.find(address, data.len()) {
            Some((offset, device)) => device.read(offset, data),
            None => {
                self.unclaimed_reads.fetch_add(1, Ordering::Relaxed);
                Flow::Continue
            }
        }
    }

    /// The guest writes `data` at guest-physical `address`.
    pub fn write(&self, address: u64, data: &[u8]) -> Flow {
        match self.find(address, data.len()) {
            Some((offset, device)) => device.write(offset, data),
            None => {
                self.unclaimed_writes.fetch_add(1, Ordering::Relaxed);
                Flow::Continue
            }
        }
    }

    /// The doorbells of all devices, each with its guest-physical address.
    pub fn doorbells(&self) -> impl Iterator<Item = (u64, Doorbell)> {
        let of_device = |(&start, slot): (&u64, &Slot)| {
            let at = move |bell: Doorbell| (start + bell.offset, bell);
            slot.device.doorbells().into_iter().map(at)
        };
        self.slots.iter().flat_map(of_device)
    }

    /// How many reads and writes no device claimed.
    pub fn unclaimed(&self) -> (u64, u64) {
        (
            self.unclaimed_reads.load(Ordering::Relaxed),
            self.unclaimed_writes.load(Ordering::Relaxed),
        )
    }

    fn find(&self, address: u64, len: usize) -> Option<(u64, &dyn MmioDevice)> {
        let (&start, slot) = self.slots.range(..=address).next_back()?;
        let offset = address - start;
        let end = offset.checked_add(len as u64)?;
        (end <= slot.len_bytes).then_some((offset, &*slot.device))
    }
}
