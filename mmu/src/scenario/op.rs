//! The operations of a scenario script, one to a line.

use std::fmt;

use crate::rules::{Direction, Duration};

/// A guest or a pin, as scripts call it: letters, digits and `_`.
pub type Name = String;

/// The guest that exists when a scenario starts.
pub const ROOT: &str = "P";

/// One operation. The page that all of them are about has two sectors: `a`, which devices write,
/// and `b`, which CPUs write.
///
/// `Display` gives the line that [`Script::parse_all`](super::Script::parse_all) reads back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// The guest's CPU writes sector `b`.
    Write(Name),
    /// The guest's CPU reads both sectors.
    Read(Name),
    /// A new guest is forked.
    Fork {
        /// Which guest it is forked from.
        parent: Name,
        /// What it is called.
        child: Name,
    },
    /// The guest goes away, with its hold but without its pins.
    Destroy(Name),
    /// The guest's device takes a pin.
    Pin {
        /// Whose device, and whose page.
        guest: Name,
        /// Which way the device will move data.
        direction: Direction,
        /// How long the pin may live.
        duration: Duration,
        /// What the pin is called.
        pin: Name,
        /// The rules know that it is a pin. Otherwise it is a reference like any other to them.
        counted: bool,
    },
    /// The device writes sector `a` through a pin.
    DmaWrite(Name),
    /// The device reads both sectors through a pin.
    DmaRead(Name),
    /// The device is done with a pin.
    Unpin(Name),
    /// The guest's entry is made to trap on writes, as for dirty tracking.
    WriteProtect(Name),
    /// The guest's page is written out to the swap.
    Evict(Name),
    /// The host takes a reference that is neither a pin nor a mapping.
    Hold(Name),
    /// The host lets go of that reference.
    Release(Name),
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(guest) => write!(f, "write {guest}"),
            Self::Read(guest) => write!(f, "read {guest}"),
            Self::Fork { parent, child } => write!(f, "fork {parent} {child}"),
            Self::Destroy(guest) => write!(f, "destroy {guest}"),
            Self::Pin { guest, direction, duration, pin, counted } => {
                let direction = match direction {
                    Direction::ToDevice => "R",
                    Direction::FromDevice => "W",
                };
                let duration = match duration {
                    Duration::Short => "short",
                    Duration::Long => "long",
                };
                let uncounted = if *counted { "" } else { " uncounted" };
                write!(f, "pin {guest} {direction} {duration} {pin}{uncounted}")
            }
            Self::DmaWrite(pin) => write!(f, "dma_write {pin}"),
            Self::DmaRead(pin) => write!(f, "dma_read {pin}"),
            Self::Unpin(pin) => write!(f, "unpin {pin}"),
            Self::WriteProtect(guest) => write!(f, "write_protect {guest}"),
            Self::Evict(guest) => write!(f, "evict {guest}"),
            Self::Hold(guest) => write!(f, "hold {guest}"),
            Self::Release(guest) => write!(f, "release {guest}"),
        }
    }
}
