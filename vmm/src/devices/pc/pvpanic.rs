//! pvpanic: a port to which a kernel writes that it panics (docs/specs/pvpanic.rst of QEMU).

use crate::devices::bus::{Flow, MmioDevice};

/// The guest has panicked.
const PANICKED: u8 = 1;

/// The device. Reading it tells which events it takes.
#[derive(Debug, Default)]
pub struct Pvpanic;

impl MmioDevice for Pvpanic {
    fn read(&self, _offset: u64, data: &mut [u8]) -> Flow {
        data.fill(PANICKED);
        Flow::Continue
    }

    fn write(&self, _offset: u64, data: &[u8]) -> Flow {
        match data {
            &[events] if events & PANICKED != 0 => Flow::Panicked,
            _ => Flow::Continue,
        }
    }
}
