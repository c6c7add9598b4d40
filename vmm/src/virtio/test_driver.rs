//! A driver in memory for tests: rings, descriptors, register accesses. It does what it is told,
//! however wrong.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::virtio_mmio as reg;
use virtio_bindings::virtio_ring::{
    VIRTIO_RING_F_EVENT_IDX, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE,
};
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

use crate::devices::bus::MmioDevice;
use crate::virtio::Interrupt;

pub(crate) const NEXT: u16 = VRING_DESC_F_NEXT as u16;
pub(crate) const WRITE: u16 = VRING_DESC_F_WRITE as u16;
pub(crate) const INDIRECT: u16 = VRING_DESC_F_INDIRECT as u16;

/// Counts interrupts.
#[derive(Clone, Default)]
pub(crate) struct Line(pub(crate) Arc<AtomicUsize>);

impl Interrupt for Line {
    fn raise(&self) -> io::Result<()> {
        self.0.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}

/// Guest memory of any kind.
pub(crate) trait Memory: Bytes<GuestAddress, E = GuestMemoryError> {}

impl<T: Bytes<GuestAddress, E = GuestMemoryError>> Memory for T {}

/// One descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Desc {
    pub(crate) address: u64,
    pub(crate) len: u32,
    pub(crate) flags: u16,
    pub(crate) next: u16,
}

impl Desc {
    pub(crate) fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.address.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.len.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.flags.to_le_bytes());
        bytes[14..].copy_from_slice(&self.next.to_le_bytes());
        bytes
    }
}

/// The driver's side of one queue.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    pub(crate) index: u32,
    pub(crate) size: u16,
    pub(crate) desc: u64,
    pub(crate) avail: u64,
    pub(crate) used: u64,
    pub(crate) next_avail: u16,
    pub(crate) seen_used: u16,
}

impl Ring {
    /// A ring of `size` entries in the 16 KiB from `base` on.
    pub(crate) fn new(index: u32, base: u64, size: u16) -> Self {
        let (avail, used) = (base + 0x2000, base + 0x3000);
        Self { index, size, desc: base, avail, used, next_avail: 0, seen_used: 0 }
    }

    pub(crate) fn put(&self, memory: &impl Memory, index: u16, desc: Desc) {
        put_desc(memory, self.desc, index, desc);
    }

    /// Writes a chain of `(address, len, device writes)` from descriptor `head` on.
    pub(crate) fn chain(&self, memory: &impl Memory, head: u16, parts: &[(u64, u32, bool)]) {
        put_chain(memory, self.desc, head, parts);
    }

    /// Makes a head available. The doorbell is not rung.
    pub(crate) fn offer(&mut self, memory: &impl Memory, head: u16) {
        let place = u64::from(self.next_avail % self.size);
        memory.write_obj(head, GuestAddress(self.avail + 4 + place * 2)).unwrap();
        self.next_avail = self.next_avail.wrapping_add(1);
        self.set_avail(memory, self.next_avail);
    }

    pub(crate) fn set_avail(&self, memory: &impl Memory, index: u16) {
        memory.store(index, GuestAddress(self.avail + 2), Ordering::Release).unwrap();
    }

    pub(crate) fn set_used_event(&self, memory: &impl Memory, index: u16) {
        let place = self.avail + 4 + 2 * u64::from(self.size);
        memory.write_obj(index, GuestAddress(place)).unwrap();
    }

    pub(crate) fn avail_event(&self, memory: &impl Memory) -> u16 {
        let place = self.used + 4 + 8 * u64::from(self.size);
        memory.read_obj(GuestAddress(place)).unwrap()
    }

    /// `(head, len)` of what was used since the last call.
    pub(crate) fn used(&mut self, memory: &impl Memory) -> Vec<(u32, u32)> {
        let now: u16 = memory.load(GuestAddress(self.used + 2), Ordering::Acquire).unwrap();
        let mut used = Vec::new();
        while self.seen_used != now {
            let place = self.used + 4 + 8 * u64::from(self.seen_used % self.size);
            let head = memory.read_obj(GuestAddress(place)).unwrap();
            let len = memory.read_obj(GuestAddress(place + 4)).unwrap();
            used.push((head, len));
            self.seen_used = self.seen_used.wrapping_add(1);
        }
        used
    }
}

pub(crate) fn put_desc(memory: &impl Memory, table: u64, index: u16, desc: Desc) {
    let place = GuestAddress(table + 16 * u64::from(index));
    memory.write_slice(&desc.bytes(), place).unwrap();
}

pub(crate) fn put_chain(memory: &impl Memory, table: u64, head: u16, parts: &[(u64, u32, bool)]) {
    for (n, &(address, len, write)) in parts.iter().enumerate() {
        let index = head + n as u16;
        let mut flags = if write { WRITE } else { 0 };
        if n + 1 < parts.len() {
            flags |= NEXT;
        }
        put_desc(memory, table, index, Desc { address, len, flags, next: index + 1 });
    }
}

pub(crate) fn read32(device: &impl MmioDevice, offset: u32) -> u32 {
    let mut data = [0xff; 4];
    device.read(offset.into(), &mut data);
    u32::from_le_bytes(data)
}

pub(crate) fn write32(device: &impl MmioDevice, offset: u32, value: u32) {
    device.write(offset.into(), &value.to_le_bytes());
}

/// Writes a queue's registers, without QueueReady.
pub(crate) fn place_queue(device: &impl MmioDevice, ring: &Ring) {
    write32(device, reg::VIRTIO_MMIO_QUEUE_SEL, ring.index);
    write32(device, reg::VIRTIO_MMIO_QUEUE_NUM, ring.size.into());
    for (low, address) in [
        (reg::VIRTIO_MMIO_QUEUE_DESC_LOW, ring.desc),
        (reg::VIRTIO_MMIO_QUEUE_AVAIL_LOW, ring.avail),
        (reg::VIRTIO_MMIO_QUEUE_USED_LOW, ring.used),
    ] {
        write32(device, low, address as u32);
        write32(device, low + 4, (address >> 32) as u32);
    }
}

/// Takes all features but those in `without`, and says FEATURES_OK.
pub(crate) fn agree(device: &impl MmioDevice, without: u64) {
    for status in [1, 3] {
        write32(device, reg::VIRTIO_MMIO_STATUS, status);
    }
    for page in [0, 1] {
        write32(device, reg::VIRTIO_MMIO_DEVICE_FEATURES_SEL, page);
        let offered = read32(device, reg::VIRTIO_MMIO_DEVICE_FEATURES);
        write32(device, reg::VIRTIO_MMIO_DRIVER_FEATURES_SEL, page);
        let taken = offered & !((without >> (32 * page)) as u32);
        write32(device, reg::VIRTIO_MMIO_DRIVER_FEATURES, taken);
    }
    write32(device, reg::VIRTIO_MMIO_STATUS, 11);
}

/// Everything that a well-behaved driver does until DRIVER_OK.
pub(crate) fn start(device: &impl MmioDevice, rings: &[&Ring], event_idx: bool) {
    agree(device, if event_idx { 0 } else { 1 << VIRTIO_RING_F_EVENT_IDX });
    for ring in rings {
        place_queue(device, ring);
        write32(device, reg::VIRTIO_MMIO_QUEUE_READY, 1);
    }
    write32(device, reg::VIRTIO_MMIO_STATUS, 15);
    assert_eq!(read32(device, reg::VIRTIO_MMIO_STATUS), 15);
}

pub(crate) const VERSION_1: u64 = 1 << VIRTIO_F_VERSION_1;
