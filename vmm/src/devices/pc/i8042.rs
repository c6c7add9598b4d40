//! The keyboard controller: no keyboard, but the line that resets the machine.

use crate::devices::bus::{Flow, MmioDevice};

/// The command that pulses the reset line of the processor.
pub const RESET: u8 = 0xfe;

/// A keyboard controller whose buffers are empty: both ports read 0.
#[derive(Debug, Default)]
pub struct I8042;

impl MmioDevice for I8042 {
    fn read(&self, _offset: u64, data: &mut [u8]) -> Flow {
        data.fill(0);
        Flow::Continue
    }

    /// Everything but the reset command is ignored, on both ports.
    fn write(&self, offset: u64, data: &[u8]) -> Flow {
        match (offset, data) {
            (4, &[RESET]) => Flow::Reset,
            _ => Flow::Continue,
        }
    }
}
