//! What a run finds, and how it is told.

use std::fmt;

use pincow_guest_protocol::map::PAGE_BYTES;
use pincow_guest_protocol::storm::{self, FindingKind};
use serde::Serialize;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// A buffer misses the bytes of its device, or a disk those of its guest.
    Lost,
    /// Bytes that only a CPU writes are not what it wrote there.
    Corrupt,
    /// Bytes of another guest.
    Leak,
    /// A part of one sector and a part of another.
    Torn,
    /// A status or length that a device should not have given.
    Status,
    /// A whole sector, in the place of another.
    Misplaced,
    /// The count of a frame is not the number of its holders.
    Count,
    /// Frames that nobody can hold any more.
    Left,
    /// The disk of a snapshot changed after its birth.
    Image,
    /// A discarded page does not read as zeros.
    Discard,
    /// A guest ended, refused or did not answer.
    Ended,
}

impl From<FindingKind> for Kind {
    fn from(kind: FindingKind) -> Self {
        match kind {
            FindingKind::Lost => Self::Lost,
            FindingKind::Corrupt => Self::Corrupt,
            FindingKind::Leak => Self::Leak,
            FindingKind::Torn => Self::Torn,
            FindingKind::Status => Self::Status,
            FindingKind::Misplaced => Self::Misplaced,
        }
    }
}

impl Kind {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "LOST",
            Self::Corrupt => "CORRUPT",
            Self::Leak => "LEAK",
            Self::Torn => "TORN",
            Self::Status => "STATUS",
            Self::Misplaced => "MISPLACED",
            Self::Count => "COUNT",
            Self::Left => "LEFT",
            Self::Image => "IMAGE",
            Self::Discard => "DISCARD",
            Self::Ended => "ENDED",
        }
    }
}

/// Who saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Witness {
    /// The guest, while it ran.
    Guest,
    /// The monitor, looking at a guest that stood still, or at what all share.
    Host,
}

/// Something that is not as it must be, with all that is known about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// In which guest: the root is 0, and the others follow in the order of their birth. `None`
    /// when it is nobody's in particular.
    pub guest: Option<u64>,
    /// Who saw it.
    pub seen_by: Witness,
    /// The page of guest memory.
    pub gfn: Option<u64>,
    /// The address in guest memory.
    pub address: Option<u64>,
    /// The sector of the guest's disk.
    pub sector: Option<u64>,
    /// The number of the transfer in the guest's storm.
    pub transfer: Option<u64>,
    /// What should be there.
    pub expected: String,
    /// What is.
    pub found: String,
}

impl Finding {
    /// Something about no page and no sector.
    pub(super) fn plain(kind: Kind, guest: Option<u64>, expected: &str, found: String) -> Self {
        let (expected, seen_by) = (expected.to_owned(), Witness::Host);
        let (gfn, address, sector, transfer) = (None, None, None, None);
        Self { kind, guest, seen_by, gfn, address, sector, transfer, expected, found }
    }

    /// A storm's own.
    pub(super) fn of_storm(guest: u64, seen_by: Witness, finding: &storm::Finding) -> Self {
        let storm::Finding { kind, address, sector, transfer, expected, found } = *finding;
        let in_memory = (address != 0).then_some(address);
        // Stamps and pages lie beside transfers, and say which one they were laid out for.
        let of_disk = in_memory.is_none() || kind != FindingKind::Corrupt;
        let [expected, found] = match kind {
            FindingKind::Corrupt => [word(expected), word(found)],
            FindingKind::Status => [status(expected), status(found)],
            FindingKind::Leak | FindingKind::Misplaced => [writer(expected), writer(found)],
            FindingKind::Lost | FindingKind::Torn => {
                [writer(expected), format!("{:#x} {:#x}", found[0], found[1])]
            }
        };
        Self {
            kind: kind.into(),
            guest: Some(guest),
            seen_by,
            gfn: in_memory.map(|address| address / PAGE_BYTES as u64),
            address: in_memory,
            sector: (of_disk || sector != 0).then_some(sector),
            transfer: in_memory.map(|_| transfer),
            expected,
            found,
        }
    }
}

fn word([word, _]: [u64; 2]) -> String {
    format!("{word:#x}")
}

fn status([status, bytes]: [u64; 2]) -> String {
    format!("status {status:#x}, {bytes} bytes written")
}

/// The header of a sector: who wrote it.
fn writer([salt, transfer]: [u64; 2]) -> String {
    match (salt, transfer) {
        (0, 0) => "zeros".to_owned(),
        _ => format!("salt {salt:#x}, transfer {transfer}"),
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind.name())?;
        if let Some(guest) = self.guest {
            write!(f, " in guest {guest}")?;
        }
        if let (Some(gfn), Some(address)) = (self.gfn, self.address) {
            write!(f, ", gfn {gfn:#x} (address {address:#x})")?;
        }
        if let Some(sector) = self.sector {
            write!(f, ", sector {sector}")?;
        }
        if let Some(transfer) = self.transfer {
            write!(f, ", transfer {transfer}")?;
        }
        let by = match self.seen_by {
            Witness::Guest => "the guest",
            Witness::Host => "the monitor",
        };
        write!(f, ": expected {}, found {}; seen by {by}", self.expected, self.found)
    }
}
