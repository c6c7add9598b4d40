//! What a PC has behind I/O ports, as far as Linux wants it. Ports are a bus of their own, of the
//! same kind as the one of memory addresses.
//!
//! | ports | device | for |
//! | --- | --- | --- |
//! | 0x60, 0x64 | [`I8042`]: a keyboard controller without a keyboard | `reboot=k`, ACPI reset |
//! | 0x70, 0x71 | [`Rtc`]: the clock, without alarms | the time of day |
//! | 0x3f8..0x400 | [`Serial`](super::Serial): COM1, interrupt 4 | the console |
//! | 0x505 | [`Pvpanic`] | a kernel that panics says so |
//! | 0x600..0x606 | [`AcpiPm`]: fixed ACPI registers | power off |

mod acpi_pm;
mod i8042;
mod pvpanic;
mod rtc;

pub use acpi_pm::{AcpiPm, AcpiPmState, SLEEP_TYPE_OFF};
pub use i8042::{I8042, RESET};
pub use pvpanic::Pvpanic;
pub use rtc::Rtc;

/// COM1: eight registers of one byte.
pub const COM1: u16 = 0x3f8;
/// How many registers COM1 has.
pub const COM1_REGISTERS: u16 = 8;
/// The data port of the keyboard controller.
pub const I8042_DATA: u16 = 0x60;
/// The command and status port of the keyboard controller.
pub const I8042_COMMAND: u16 = 0x64;
/// The index port of the clock; its data port is the next one.
pub const RTC_INDEX: u16 = 0x70;
/// The port of the pvpanic device (docs/specs/pvpanic.rst of QEMU).
pub const PVPANIC: u16 = 0x505;
/// PM1 event registers: 2 bytes of status, 2 of enable bits.
pub const PM1_EVENTS: u16 = 0x600;
/// Bytes of the PM1 event registers.
pub const PM1_EVENTS_LEN: u16 = 4;
/// PM1 control register.
pub const PM1_CONTROL: u16 = 0x604;
/// Bytes of the PM1 control register.
pub const PM1_CONTROL_LEN: u16 = 2;
