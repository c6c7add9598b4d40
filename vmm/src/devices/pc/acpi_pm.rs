//! The fixed registers of ACPI (ACPI 6.5, 4.8.3): events, of which none ever happens, and control,
//! through which the guest switches itself off.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{PM1_CONTROL, PM1_EVENTS};
use crate::devices::bus::{Flow, MmioDevice};

#[cfg(test)]
mod tests;

/// SLP_TYP of the state S5, "off", as the DSDT tells it.
pub const SLEEP_TYPE_OFF: u8 = 5;

/// PM1 control: ACPI is enabled, always.
const SCI_EN: u16 = 1;
const SLP_TYP_SHIFT: u16 = 10;
const SLP_EN: u16 = 1 << 13;
/// What a guest can change: all but SCI_EN, and SLP_EN, which reads 0.
const CONTROL_WRITABLE: u16 = !(SCI_EN | SLP_EN);

const STATUS: u64 = 0;
const ENABLE: u64 = 2;
const CONTROL: u64 = (PM1_CONTROL - PM1_EVENTS) as u64;

/// The registers, as plain data. No event ever happens, so status is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcpiPmState {
    /// Events that the guest wants to hear of.
    pub enable: u16,
    /// What it wrote to the control register.
    pub control: u16,
}

/// The device, from [`PM1_EVENTS`] to the end of the control register. Accesses are of 2 bytes.
#[derive(Debug, Default)]
pub struct AcpiPm(Mutex<AcpiPmState>);

impl AcpiPm {
    /// The device with these registers.
    #[must_use]
    pub fn restore(state: AcpiPmState) -> AcpiPm {
        let control = state.control & CONTROL_WRITABLE;
        AcpiPm(Mutex::new(AcpiPmState { control, ..state }))
    }

    /// The registers.
    #[must_use]
    pub fn save(&self) -> AcpiPmState {
        *self.0.lock()
    }
}

impl MmioDevice for AcpiPm {
    fn read(&self, offset: u64, data: &mut [u8]) -> Flow {
        let state = self.0.lock();
        if let Ok(data) = <&mut [u8; 2]>::try_from(data) {
            let value = match offset {
                STATUS => 0,
                ENABLE => state.enable,
                CONTROL => state.control | SCI_EN,
                _ => return Flow::Continue,
            };
            *data = value.to_le_bytes();
        }
        Flow::Continue
    }

    fn write(&self, offset: u64, data: &[u8]) -> Flow {
        let Ok(value) = <[u8; 2]>::try_from(data).map(u16::from_le_bytes) else {
            return Flow::Continue;
        };
        let mut state = self.0.lock();
        match offset {
            ENABLE => state.enable = value,
            CONTROL => {
                state.control = value & CONTROL_WRITABLE;
                let sleep = value >> SLP_TYP_SHIFT & 7;
                if value & SLP_EN != 0 && sleep == u16::from(SLEEP_TYPE_OFF) {
                    return Flow::PowerOff;
                }
            }
            _ => {}
        }
        Flow::Continue
    }
}
