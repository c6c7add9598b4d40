//! FADT: the fixed registers, and what this PC does not have.

use acpi_tables::fadt::{FADT, FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID};
use crate::boot::linux::layout::ACPI_IRQ;
use crate::devices::pc::{
    I8042_COMMAND, PM1_CONTROL, PM1_CONTROL_LEN, PM1_EVENTS, PM1_EVENTS_LEN, RESET,
};

/// IAPC_BOOT_ARCH (table 5.11): there are devices as on an old PC; there is no VGA; MSI do not work.
/// No bit says that there is a keyboard controller, so that nobody waits for a keyboard.
const LEGACY_DEVICES: u16 = 1;
const NO_VGA: u16 = 1 << 2;
const NO_MSI: u16 = 1 << 3;

/// "C2 and C3 are not there" (table 5.9).
const NO_C2: u16 = 101;
const NO_C3: u16 = 1001;

pub(super) fn table(dsdt: u64, facs: u64) -> FADT {
    let mut fadt = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION)
        .dsdt_64(dsdt)
        .firmware_ctrl_32(facs as u32)
        .flag(Flags::Wbinvd)
        .flag(Flags::ProcC1)
        .flag(Flags::PwrButton)
        .flag(Flags::SlpButton)
        .flag(Flags::ResetRegSup);
    fadt.dsdt = (dsdt as u32).into();
    fadt.sci_int = (ACPI_IRQ as u16).into();
    fadt.pm1a_evt_blk = u32::from(PM1_EVENTS).into();
    fadt.pm1_evt_len = PM1_EVENTS_LEN as u8;
    fadt.pm1a_cnt_blk = u32::from(PM1_CONTROL).into();
    fadt.pm1_cnt_len = PM1_CONTROL_LEN as u8;
    fadt.x_pm1a_evt_blk = port(PM1_EVENTS, PM1_EVENTS_LEN);
    fadt.x_pm1a_cnt_blk = port(PM1_CONTROL, PM1_CONTROL_LEN);
    (fadt.p_lvl2_lat, fadt.p_lvl3_lat) = (NO_C2.into(), NO_C3.into());
    fadt.iapc_boot_arch = (LEGACY_DEVICES | NO_VGA | NO_MSI).into();
    fadt.reset_reg =
        GAS::new(AddressSpace::SystemIo, 8, 0, AccessSize::ByteAccess, u64::from(I8042_COMMAND));
    fadt.reset_value = RESET;
    fadt.finalize()
}

/// Registers of `len` bytes, accessed as words.
fn port(port: u16, len: u16) -> GAS {
    let bits = (len * 8) as u8;
    GAS::new(AddressSpace::SystemIo, bits, 0, AccessSize::WordAccess, u64::from(port))
}
