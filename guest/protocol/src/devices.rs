//! The devices, all behind memory-mapped registers in one window.

/// Where the device window begins.
pub const DEVICES_BASE: u64 = 0xd000_0000;

/// Bytes of the device window: one 2 MiB page of the guest's page tables.
pub const DEVICES_BYTES: u64 = 0x20_0000;

/// The 16550: eight registers of one byte, one after the other.
pub const SERIAL_BASE: u64 = DEVICES_BASE;

/// How many registers the 16550 has.
pub const SERIAL_REGISTERS: u64 = 8;

/// The mailbox of vCPU 0.
pub const MAILBOX_BASE: u64 = DEVICES_BASE + 0x1000;

/// From one vCPU's mailbox to the next one's, in bytes.
pub const MAILBOX_STRIDE: u64 = 0x100;

/// The registers of virtio device 0 (virtio 1.2, section 4.2), 32 bits wide.
pub const VIRTIO_BASE: u64 = DEVICES_BASE + 0x1_0000;

/// From one virtio device's registers to the next one's, in bytes.
pub const VIRTIO_STRIDE: u64 = 0x1000;

/// How many virtio devices there can be.
pub const VIRTIO_DEVICES: usize = 8;

/// How many arguments a command may have, and values a reply.
pub const VALUES: usize = 4;

/// Written to [`Register::Report`] by each vCPU of the embedded payload when it starts.
pub const REPORT_READY: u64 = 0x5245_4144;

/// How long a vCPU sleeps at most for one write to [`Register::Rest`], in microseconds.
pub const REST_MOST_US: u64 = 10_000;

/// A register of a mailbox. All are 8 bytes wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// Read: the next command, and 0 for "none, read again". Blocks in the monitor.
    Command,
    /// Read: an argument of the command.
    Arg(usize),
    /// Write: a value of the reply.
    Reply(usize),
    /// Write: a [`Status`](super::Status); posts the reply.
    Done,
    /// Write: the first value of the reply; posts it with the status "ok".
    DoneValue,
    /// Write: the exit code; ends the guest.
    Exit,
    /// Write: a value that no command asked for.
    Report,
    /// Write: the vCPU sleeps for so many microseconds, at most [`REST_MOST_US`].
    Rest,
}

impl Register {
    /// Offset from the start of the mailbox, in bytes.
    #[must_use]
    pub const fn offset(self) -> u64 {
        match self {
            Self::Command => 0x00,
            Self::Arg(n) => 0x08 + n as u64 * 8,
            Self::Reply(n) => 0x28 + n as u64 * 8,
            Self::Done => 0x48,
            Self::DoneValue => 0x50,
            Self::Exit => 0x58,
            Self::Report => 0x60,
            Self::Rest => 0x68,
        }
    }

    /// The register at `offset` bytes from the start of the mailbox.
    #[must_use]
    pub const fn at(offset: u64) -> Option<Self> {
        Some(match offset {
            0x00 => Self::Command,
            0x08 | 0x10 | 0x18 | 0x20 => Self::Arg((offset as usize - 0x08) / 8),
            0x28 | 0x30 | 0x38 | 0x40 => Self::Reply((offset as usize - 0x28) / 8),
            0x48 => Self::Done,
            0x50 => Self::DoneValue,
            0x58 => Self::Exit,
            0x60 => Self::Report,
            0x68 => Self::Rest,
            _ => return None,
        })
    }

    /// Its address in the mailbox of vCPU `vcpu`.
    #[must_use]
    pub const fn address(self, vcpu: usize) -> u64 {
        mailbox(vcpu) + self.offset()
    }
}

/// Address of the mailbox of vCPU `vcpu`.
#[must_use]
pub const fn mailbox(vcpu: usize) -> u64 {
    MAILBOX_BASE + vcpu as u64 * MAILBOX_STRIDE
}

/// Address of the registers of virtio device `device`.
#[must_use]
pub const fn virtio(device: usize) -> u64 {
    VIRTIO_BASE + device as u64 * VIRTIO_STRIDE
}

#[cfg(test)]
mod tests;
