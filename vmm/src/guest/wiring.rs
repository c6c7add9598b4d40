//! Where the registers of virtio devices are, and their interrupts.

use std::io;
use std::sync::Arc;

use super::disk::GuestDisk;
use super::peripherals::Peripherals;
use crate::boot::linux::layout::virtio_place;
use crate::devices::Line;
use crate::machine::{BusDevice, Wire};
use crate::virtio::{Mmio, REGISTERS_LEN};

/// The interrupt line of a device, unless its driver polls.
pub(super) fn device_line(polls: bool) -> io::Result<Option<Line>> {
    if polls { Ok(None) } else { Line::new().map(Some) }
}

/// All virtio devices, in the order of their registers.
pub(super) fn on_bus(disks: &[GuestDisk], others: &Peripherals) -> Vec<BusDevice> {
    let disks_on_bus = disks.iter().enumerate().map(|(index, disk)| disk.on_bus(index));
    disks_on_bus.chain(others.on_bus(disks.len())).collect()
}

/// Where the registers of virtio device number `index` are, and its interrupt.
pub(super) fn place(index: usize, registers: &Arc<Mmio>, line: &Option<Line>) -> BusDevice {
    let place = virtio_place(index);
    let wire = line.clone().map(|line| Wire { line, irq: place.irq });
    let device = Arc::clone(registers);
    BusDevice { start: place.start, len_bytes: REGISTERS_LEN, device, wire }
}
