//! The devices of a machine, at the addresses that `guest/README.md` gives them.

use std::sync::Arc;

use pincow_guest_protocol::devices::{MAILBOX_STRIDE, SERIAL_BASE, SERIAL_REGISTERS, mailbox};

use super::BusDevice;
use crate::devices::{BusError, Mailbox, MmioBus, Serial};

/// All devices of one machine.
pub(super) struct Board {
    pub(super) bus: MmioBus,
    pub(super) serial: Arc<Serial>,
    /// One per vCPU.
    pub(super) mailboxes: Vec<Arc<Mailbox>>,
}

impl Board {
    pub(super) fn new(
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
        for BusDevice { start, len_bytes, device } in further {
            bus.insert(start, len_bytes, device)?;
        }
        Ok(Board { bus, serial, mailboxes })
    }
}
