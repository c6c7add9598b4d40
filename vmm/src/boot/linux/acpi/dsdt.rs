//! DSDT: the devices that nothing else tells of.

use acpi_tables::Aml;
use acpi_tables::aml::{
    Device, EISAName, IO, Interrupt, Memory32Fixed, Method, Name, Notify, Package, Path,
    ResourceTemplate, Scope, ZERO,
};
use acpi_tables::sdt::Sdt;

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID};
use crate::boot::linux::Hardware;
use crate::boot::linux::layout::{GENERATION_ID, GENERATION_IRQ, SERIAL_IRQ, VirtioPlace};
use crate::devices::pc::{COM1, COM1_REGISTERS, PVPANIC, RTC_INDEX, SLEEP_TYPE_OFF};

/// The notification that a generation ID has changed.
const CHANGED: u8 = 0x80;

/// Bytes of a table header, and the revision with 64-bit integers.
const HEADER_LEN: u32 = 36;
const REVISION: u8 = 2;

pub(super) fn table(hardware: &Hardware) -> Sdt {
    let mut body = Vec::new();
    let off = SLEEP_TYPE_OFF;
    // Both entries are for PM1a and PM1b, of which there is only the first (7.4.2).
    Name::new(Path::new("\\_S5_"), &Package::new(vec![&off, &off, &ZERO, &ZERO]))
        .to_aml_bytes(&mut body);
    serial(&mut body);
    clock(&mut body);
    panic_port(&mut body);
    generation(&mut body);
    for (index, place) in hardware.virtio.iter().enumerate() {
        virtio(index, place, &mut body);
    }
    let mut table = Sdt::new(*b"DSDT", HEADER_LEN, REVISION, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    table.append_slice(&body);
    table
}

/// A device of the system bus, with its identity and resources.
fn device(name: &str, id: &dyn Aml, unique: u32, resources: Vec<&dyn Aml>, body: &mut Vec<u8>) {
    let id = Name::new(Path::new("_HID"), id);
    let unique = Name::new(Path::new("_UID"), &unique);
    let resources = Name::new(Path::new("_CRS"), &ResourceTemplate::new(resources));
    let device = Device::new(Path::new(name), vec![&id, &unique, &resources]);
    Scope::new(Path::new("\\_SB_"), vec![&device]).to_aml_bytes(body);
}

fn edge(irq: u32) -> Interrupt {
    Interrupt::new(true, true, false, false, irq)
}

fn io(port: u16, len: u16) -> IO {
    IO::new(port, port, 1, len as u8)
}

fn serial(body: &mut Vec<u8>) {
    let (id, ports, line) = (EISAName::new("PNP0501"), io(COM1, COM1_REGISTERS), edge(SERIAL_IRQ));
    device("COM1", &id, 0, vec![&ports, &line], body);
}

fn clock(body: &mut Vec<u8>) {
    device("RTC_", &EISAName::new("PNP0B00"), 0, vec![&io(RTC_INDEX, 2)], body);
}

fn panic_port(body: &mut Vec<u8>) {
    device("PEVT", &"QEMU0001", 0, vec![&io(PVPANIC, 1)], body);
}

/// The generation ID: where it is, as two halves of an address, and an event device (ACPI0013, 5.6.9)
/// whose interrupt tells the driver that it has changed. The name of the specification is too long
/// for _HID.
fn generation(body: &mut Vec<u8>) {
    let hid = Name::new(Path::new("_HID"), &"PCOWVGID");
    let cid = Name::new(Path::new("_CID"), &"VM_Gen_Counter");
    let ddn = Name::new(Path::new("_DDN"), &"VM_Gen_Counter");
    let (low, high) = (GENERATION_ID as u32, (GENERATION_ID >> 32) as u32);
    let address = Name::new(Path::new("ADDR"), &Package::new(vec![&low, &high]));
    let id = Device::new(Path::new("VGEN"), vec![&hid, &cid, &ddn, &address]);

    let hid = Name::new(Path::new("_HID"), &"ACPI0013");
    let unique = Name::new(Path::new("_UID"), &ZERO);
    let line = edge(GENERATION_IRQ);
    let resources = Name::new(Path::new("_CRS"), &ResourceTemplate::new(vec![&line]));
    let place = Path::new("\\_SB_.VGEN");
    let changed = Notify::new(&place, &CHANGED);
    let event = Method::new(Path::new("_EVT"), 1, true, vec![&changed]);
    let events = Device::new(Path::new("GED_"), vec![&hid, &unique, &resources, &event]);
    Scope::new(Path::new("\\_SB_"), vec![&id, &events]).to_aml_bytes(body);
}

/// A virtio device behind memory-mapped registers, by the ID that Linux' driver looks for.
fn virtio(index: usize, place: &VirtioPlace, body: &mut Vec<u8>) {
    let registers = Memory32Fixed::new(true, place.start as u32, place.len_bytes as u32);
    let line = edge(place.irq);
    let name = format!("VR{index:02X}");
    device(&name, &"LNRO0005", index as u32, vec![&registers, &line], body);
}
