//! MADT: the local APICs and the IOAPIC, as KVM has them.
//!
//! Interrupt 0, the timer, has no entry: KVM brings it to IOAPIC input 0, as an unredirected PC
//! would.

use acpi_tables::sdt::Sdt;

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID};
use crate::boot::linux::layout::{ACPI_IRQ, IOAPIC, LOCAL_APIC};

const HEADER_LEN: u32 = 36;
const REVISION: u8 = 5;
/// There is also a pair of 8259 interrupt controllers (table 5.20).
const PCAT_COMPAT: u32 = 1;

const LOCAL_APIC_TYPE: u8 = 0;
const IOAPIC_TYPE: u8 = 1;
const OVERRIDE_TYPE: u8 = 2;
const LOCAL_NMI_TYPE: u8 = 4;

/// A local APIC that can be used.
const ENABLED: u32 = 1;
/// Active high and level-triggered (table 5.26): what the interrupt of ACPI events is.
const HIGH_LEVEL: u16 = 1 | 3 << 2;
const ALL_PROCESSORS: u8 = 0xff;

pub(super) fn table(vcpus: u32) -> Sdt {
    let mut table = Sdt::new(*b"APIC", HEADER_LEN, REVISION, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    table.append_slice(&LOCAL_APIC.to_le_bytes());
    table.append_slice(&PCAT_COMPAT.to_le_bytes());
    for vcpu in 0..vcpus as u8 {
        structure(&mut table, LOCAL_APIC_TYPE, &[&[vcpu, vcpu], &ENABLED.to_le_bytes()]);
    }
    let (id, first_input) = ([0, 0], 0_u32);
    structure(&mut table, IOAPIC_TYPE, &[&id, &IOAPIC.to_le_bytes(), &first_input.to_le_bytes()]);
    let (isa, line) = (0, ACPI_IRQ as u8);
    structure(
        &mut table,
        OVERRIDE_TYPE,
        &[&[isa, line], &ACPI_IRQ.to_le_bytes(), &HIGH_LEVEL.to_le_bytes()],
    );
    // LINT1 is NMI, whose polarity and trigger are what the bus says.
    structure(&mut table, LOCAL_NMI_TYPE, &[&[ALL_PROCESSORS, 0, 0, 1]]);
    table
}

/// A structure is its type, its length and its fields.
fn structure(table: &mut Sdt, kind: u8, fields: &[&[u8]]) {
    let fields = fields.concat();
    table.append_slice(&[kind, fields.len() as u8 + 2]);
    table.append_slice(&fields);
}
