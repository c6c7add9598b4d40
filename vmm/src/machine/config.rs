//! What to choose for a machine.

use std::sync::Arc;

use crate::devices::MmioDevice;
use crate::devices::serial::SerialSink;

/// Which interrupt controller a guest has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Irqchip {
    /// None: nothing ever interrupts the guest. What the embedded payload wants.
    #[default]
    None,
}

/// A device beside those that every machine has.
pub struct BusDevice {
    /// Its first guest-physical address.
    pub start: u64,
    /// The length of its range, in bytes.
    pub len_bytes: u64,
    /// The device. Its state is saved by whoever made it.
    pub device: Arc<dyn MmioDevice>,
}

/// The choices for one machine. Its memory is given beside it.
pub struct MachineConfig {
    /// How many vCPUs, 1 to [`pincow_guest_protocol::map::MAX_VCPUS`].
    pub vcpus: u32,
    /// The interrupt controller.
    pub irqchip: Irqchip,
    /// Where serial output goes.
    pub serial: SerialSink,
    /// Further devices.
    pub devices: Vec<BusDevice>,
}

impl Default for MachineConfig {
    /// One vCPU, no interrupts, and serial output to nowhere.
    fn default() -> MachineConfig {
        let serial = Box::new(std::io::sink());
        MachineConfig { vcpus: 1, irqchip: Irqchip::None, serial, devices: Vec::new() }
    }
}

impl std::fmt::Debug for MachineConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MachineConfig")
            .field("vcpus", &self.vcpus)
            .field("irqchip", &self.irqchip)
            .finish_non_exhaustive()
    }
}
