//! The serial line. The monitor's 16550 is always ready to transmit, so its status is not asked.

use core::fmt;

use crate::mmio::write_serial;

/// The 16550's transmit holding register.
const TRANSMIT: u64 = 0;

/// The serial line, for `write!`.
pub(crate) struct Serial;

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| write_serial(TRANSMIT, byte));
        Ok(())
    }
}
