//! The clock of a PC (MC146818): the host's time of day in UTC, without alarms and without memory.
//!
//! Linux reads it once, and waits for an update in progress to end: a port that reads all ones would
//! look like one that never does. It cannot be set, so nothing of it has to be saved but the index.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::devices::bus::{Flow, MmioDevice};

#[cfg(test)]
mod tests;

const SECONDS: u8 = 0;
const MINUTES: u8 = 2;
const HOURS: u8 = 4;
const WEEKDAY: u8 = 6;
const DAY: u8 = 7;
const MONTH: u8 = 8;
const YEAR: u8 = 9;
/// Status registers.
const A: u8 = 0x0a;
const B: u8 = 0x0b;
const D: u8 = 0x0d;
/// Where ACPI has the century by custom; the FADT does not name it.
const CENTURY: u8 = 0x32;

/// A: 32.768 kHz, no periodic interrupt, no update in progress.
const A_VALUE: u8 = 0x20;
/// B: 24 hours; numbers are BCD; no interrupts.
const B_VALUE: u8 = 0x02;
/// D: the battery is good.
const D_VALUE: u8 = 0x80;

/// The device: the index port, then the data port. Accesses are of 1 byte.
#[derive(Debug, Default)]
pub struct Rtc {
    index: AtomicU8,
}

impl Rtc {
    /// The device with this register selected.
    #[must_use]
    pub fn restore(index: u8) -> Rtc {
        Rtc { index: AtomicU8::new(index) }
    }

    /// The register that is selected.
    #[must_use]
    pub fn save(&self) -> u8 {
        self.index.load(Ordering::Relaxed)
    }
}

impl MmioDevice for Rtc {
    /// The index port cannot be read, as on a PC.
    fn read(&self, offset: u64, data: &mut [u8]) -> Flow {
        if let (1, [byte]) = (offset, data) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            // Bit 7 of the index masks NMIs.
            *byte = register(self.save() & 0x7f, now.as_secs());
        }
        Flow::Continue
    }

    fn write(&self, offset: u64, data: &[u8]) -> Flow {
        if let (0, &[index]) = (offset, data) {
            self.index.store(index, Ordering::Relaxed);
        }
        Flow::Continue
    }
}

/// The register at `unix_seconds` after 1970.
fn register(index: u8, unix_seconds: u64) -> u8 {
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let (year, month, day) = date(days);
    match index {
        SECONDS => bcd(second % 60),
        MINUTES => bcd(second / 60 % 60),
        HOURS => bcd(second / 3600),
        // 1970 began on a Thursday; Sunday is 1.
        WEEKDAY => bcd((days + 4) % 7 + 1),
        DAY => bcd(day),
        MONTH => bcd(month),
        YEAR => bcd(year % 100),
        CENTURY => bcd(year / 100 % 100),
        A => A_VALUE,
        B => B_VALUE,
        D => D_VALUE,
        // C, of interrupts, and all memory.
        _ => 0,
    }
}

fn bcd(value: u64) -> u8 {
    (((value / 10) << 4) | (value % 10)) as u8
}

/// Year, month and day (from 1) so many days after 1 January 1970, in the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    let (mut year, mut left) = (1970, days);
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        (year, left) = (year + 1, left - length);
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        (month, left) = (month + 1, left - length);
    }
    (year, month, left + 1)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}
