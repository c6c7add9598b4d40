//! The devices of a machine: those of the embedded payload at the addresses that `guest/README.md`
//! gives them, or those of a PC.

use std::sync::Arc;

use pincow_guest_protocol::devices::{MAILBOX_STRIDE, SERIAL_BASE, SERIAL_REGISTERS, mailbox};
use serde::{Deserialize, Serialize};

use super::{BusDevice, GenerationId, Wire};
use crate::boot::linux::layout::SERIAL_IRQ;
use crate::devices::pc::{
    AcpiPm, AcpiPmState, COM1, COM1_REGISTERS, I8042, I8042_COMMAND, I8042_DATA, PM1_CONTROL,
    PM1_CONTROL_LEN, PM1_EVENTS, PVPANIC, Pvpanic, RTC_INDEX, Rtc,
};
use crate::devices::{BusError, Line, Mailbox, MmioBus, MmioDevice, Serial};

/// All devices of one machine.
pub(super) struct Board {
    /// Memory addresses.
    pub(super) bus: MmioBus,
    /// I/O ports. Empty but on a PC.
    pub(super) ports: MmioBus,
    pub(super) serial: Arc<Serial>,
    /// One per vCPU. A PC has them on the host's side only.
    pub(super) mailboxes: Vec<Arc<Mailbox>>,
    /// What is to be connected to the interrupt controllers.
    pub(super) wires: Vec<Wire>,
    pc: Option<Pc>,
}

struct Pc {
    pm: Arc<AcpiPm>,
    rtc: Arc<Rtc>,
    generation_id: GenerationId,
}

/// The devices that only a PC has, as plain data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PcDevices {
    /// The fixed ACPI registers.
    pub acpi_pm: AcpiPmState,
    /// The clock's register that is selected.
    pub rtc_index: u8,
}

impl Board {
    /// For a payload, which finds everything in memory.
    pub(super) fn payload(
        serial: Serial,
        mailboxes: Vec<Arc<Mailbox>>,
        further: Vec<BusDevice>,
    ) -> Result<Board, BusError> {
        let serial = Arc::new(serial);
        let mut bus = MmioBus::new();
        bus.insert(SERIAL_BASE, SERIAL_REGISTERS, serial.clone())?;
        for (vcpu, device) in mailboxes.iter().enumerate() {
            bus.insert(mailbox(vcpu), MAILBOX_STRIDE, device.clone())?;
        }
        let wires = insert(&mut bus, further)?;
        Ok(Board { bus, ports: MmioBus::new(), serial, mailboxes, wires, pc: None })
    }

    /// For an operating system. The serial port interrupts on `line`; that there is a new generation
    /// ID, on the wire beside it.
    pub(super) fn pc(
        (serial, line): (Serial, Line),
        mailboxes: Vec<Arc<Mailbox>>,
        further: Vec<BusDevice>,
        (generation_id, generation): (GenerationId, Wire),
        state: &PcDevices,
    ) -> Result<Board, BusError> {
        let serial = Arc::new(serial);
        let mut bus = MmioBus::new();
        let mut wires = insert(&mut bus, further)?;
        wires.extend([Wire { line, irq: SERIAL_IRQ }, generation]);
        let pm = Arc::new(AcpiPm::restore(state.acpi_pm));
        let rtc = Arc::new(Rtc::restore(state.rtc_index));
        let ports: [(u16, u16, Arc<dyn MmioDevice>); 5] = [
            (COM1, COM1_REGISTERS, serial.clone()),
            (I8042_DATA, I8042_COMMAND - I8042_DATA + 1, Arc::new(I8042)),
            (RTC_INDEX, 2, rtc.clone()),
            (PVPANIC, 1, Arc::new(Pvpanic)),
            (PM1_EVENTS, PM1_CONTROL + PM1_CONTROL_LEN - PM1_EVENTS, pm.clone()),
        ];
        let mut port_bus = MmioBus::new();
        for (first, len, device) in ports {
            port_bus.insert(first.into(), len.into(), device)?;
        }
        let pc = Some(Pc { pm, rtc, generation_id });
        Ok(Board { bus, ports: port_bus, serial, mailboxes, wires, pc })
    }

    /// Which copy of the guest this is, on a PC.
    pub(super) fn generation_id(&self) -> Option<GenerationId> {
        self.pc.as_ref().map(|pc| pc.generation_id)
    }

    /// The devices that only a PC has. Not the generation ID, since no copy has the same.
    pub(super) fn save_pc(&self) -> Option<PcDevices> {
        let save = |pc: &Pc| PcDevices { acpi_pm: pc.pm.save(), rtc_index: pc.rtc.save() };
        self.pc.as_ref().map(save)
    }
}

/// Puts devices on the bus; returns their wires.
fn insert(bus: &mut MmioBus, devices: Vec<BusDevice>) -> Result<Vec<Wire>, BusError> {
    let mut wires = Vec::new();
    for BusDevice { start, len_bytes, device, wire } in devices {
        bus.insert(start, len_bytes, device)?;
        wires.extend(wire);
    }
    Ok(wires)
}
