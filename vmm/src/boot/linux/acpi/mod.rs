//! ACPI tables (ACPI 6.5): who the vCPUs are, where interrupts go, which devices there are.
//!
//! ```text
//! RSDP -> XSDT -+-> FADT -+-> FACS
//!               |         '-> DSDT   devices, and the sleep state of "off"
//!               '-> MADT             local APICs, IOAPIC
//! ```

use acpi_tables::Aml;
use acpi_tables::facs::FACS;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::xsdt::XSDT;
use pincow_guest_protocol::devices::VIRTIO_DEVICES;
use pincow_mmu::host::WindowMemory;
use vm_memory::{Bytes, GuestAddress};

use super::layout::ACPI;
use super::{Hardware, LinuxError};

mod dsdt;
mod fadt;
mod madt;
#[cfg(test)]
mod tests;

const OEM_ID: [u8; 6] = *b"PINCOW";
const OEM_TABLE_ID: [u8; 8] = *b"PINCOWVM";
const OEM_REVISION: u32 = 1;

/// Tables begin at multiples of this, as FACS must (5.2.10).
const ALIGNMENT: usize = 64;

/// Writes the tables to where a PC has its BIOS; returns the address of the root pointer.
pub(super) fn write(memory: &WindowMemory, hardware: &Hardware) -> Result<u64, LinuxError> {
    let (devices, most) = (hardware.virtio.len(), VIRTIO_DEVICES);
    if devices > most {
        return Err(LinuxError::TooManyDevices { devices, most });
    }
    memory
        .write_slice(&tables(hardware, ACPI), GuestAddress(ACPI))
        .map_err(|source| LinuxError::Write { what: "ACPI tables", address: ACPI, source })?;
    Ok(ACPI)
}

/// All tables as they lie in memory from `base` on, the root pointer first.
fn tables(hardware: &Hardware, base: u64) -> Vec<u8> {
    let mut tables = Tables { base, bytes: vec![0; Rsdp::len()] };
    let dsdt = tables.add(&dsdt::table(hardware));
    let facs = tables.add(&FACS::new());
    let fadt = tables.add(&fadt::table(dsdt, facs));
    let madt = tables.add(&madt::table(hardware.vcpus));
    let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    xsdt.add_entry(fadt);
    xsdt.add_entry(madt);
    let root = bytes_of(&Rsdp::new(OEM_ID, tables.add(&xsdt)));
    tables.bytes[..root.len()].copy_from_slice(&root);
    tables.bytes
}

struct Tables {
    base: u64,
    bytes: Vec<u8>,
}

impl Tables {
    /// Appends a table; returns its address.
    fn add(&mut self, table: &dyn Aml) -> u64 {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
        let address = self.base + self.bytes.len() as u64;
        table.to_aml_bytes(&mut self.bytes);
        address
    }
}

fn bytes_of(table: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.to_aml_bytes(&mut bytes);
    bytes
}
