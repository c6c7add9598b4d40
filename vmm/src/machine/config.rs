//! What to choose for a machine.

use std::sync::Arc;

use crate::devices::serial::SerialSink;
use crate::devices::{Line, MmioDevice};

/// A device beside those that every machine has.
pub struct BusDevice {
    /// Its first guest-physical address.
    pub start: u64,
    /// The length of its range, in bytes.
    pub len_bytes: u64,
    /// The device. Its state is saved by whoever made it.
    pub device: Arc<dyn MmioDevice>,
    /// Where it interrupts, on a machine that has interrupt controllers.
    pub wire: Option<Wire>,
}

/// The line of a device, and the IOAPIC input that it goes to.
#[derive(Debug, Clone)]
pub struct Wire {
    /// The line.
    pub line: Line,
    /// The input, from 0.
    pub irq: u32,
}

/// The choices for one machine. Its memory is given beside it.
pub struct MachineConfig {
    /// How many vCPUs, 1 to [`pincow_guest_protocol::map::MAX_VCPUS`].
    pub vcpus: u32,
    /// Where serial output goes.
    pub serial: SerialSink,
    /// Further devices.
    pub devices: Vec<BusDevice>,
}

impl Default for MachineConfig {
    /// One vCPU, and serial output to nowhere.
    fn default() -> MachineConfig {
        let serial = Box::new(std::io::sink());
        MachineConfig { vcpus: 1, serial, devices: Vec::new() }
    }
}

impl std::fmt::Debug for MachineConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MachineConfig").field("vcpus", &self.vcpus).finish_non_exhaustive()
    }
}
