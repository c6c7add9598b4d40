//! What is wrong, and how it is told.

use super::shadow::Expected;
use crate::sector::{Content, SECTOR_WORDS, SectorHeader, headers_in};

/// What is wrong. Its number is its word after [`FINDINGS`](super::words::FINDINGS).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum FindingKind {
    /// A buffer misses the bytes of the device, or the disk those of the guest: older ones are there.
    Lost = 1,
    /// Bytes that only the CPU writes are not what it wrote there.
    Corrupt = 2,
    /// A sector that this guest's history never had.
    Leak = 3,
    /// A part of one sector, and a part of something else.
    Torn = 4,
    /// A status or a length that the device should not have given.
    Status = 5,
    /// A whole sector of this guest, in the place of another.
    Misplaced = 6,
}

impl FindingKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Lost, Self::Corrupt, Self::Leak, Self::Torn, Self::Status, Self::Misplaced];

    /// The kind with this number.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u64 == number)
    }

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
        }
    }
}

/// Something that is not as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// Where in guest memory, or 0 where only the disk was looked at.
    pub address: u64,
    /// The sector, or the first one of the transfer.
    pub sector: u64,
    /// The number of the transfer, or 0.
    pub transfer: u64,
    /// Salt and sequence that were expected (zeros for a sector of zeros); for CORRUPT, the word;
    /// for STATUS, the status and the length.
    pub expected: [u64; 2],
    /// The same, as found: the first two words of the sector.
    pub found: [u64; 2],
}

impl Finding {
    /// The finding that these words are, if they are one.
    #[must_use]
    pub fn from_words(words: [u64; 8]) -> Option<Self> {
        let [kind, address, sector, transfer, expected, expected_2, found, found_2] = words;
        let kind = FindingKind::from_number(kind)?;
        let (expected, found) = ([expected, expected_2], [found, found_2]);
        Some(Self { kind, address, sector, transfer, expected, found })
    }

    pub(super) const fn words(&self) -> [u64; 8] {
        let ([expected, expected_2], [found, found_2]) = (self.expected, self.found);
        let kind = self.kind as u64;
        [kind, self.address, self.sector, self.transfer, expected, expected_2, found, found_2]
    }
}

/// Decides about sectors.
#[derive(Clone, Copy, Debug)]
pub struct Judge<H> {
    /// The seed of the storm.
    pub seed: u64,
    /// Nothing of another history can be on the disk, so what is not known must at least be of
    /// this one.
    pub fresh: bool,
    /// Whether this guest's history had a transfer with this salt and number.
    pub history: H,
}

impl<H: Fn(u64, u64) -> bool> Judge<H> {
    /// What is wrong with a sector that holds `words`; `None`: nothing.
    pub fn judge(
        &self,
        sector: u64,
        expected: Expected,
        words: &[u64; SECTOR_WORDS],
    ) -> Option<FindingKind> {
        let content = Content::of(words);
        let foreign = match content {
            Content::Whole(header) => self.is_foreign(header),
            _ => false,
        };
        match (expected, content) {
            (Expected::Written { salt, sequence }, Content::Whole(header))
                if (header.salt, header.sequence) == (salt, sequence)
                    && (header.sector, header.seed) == (sector, self.seed) =>
            {
                None
            }
            (Expected::Zeros, Content::Zeros) => None,
            (Expected::Unknown | Expected::Changing, Content::Whole(header)) => {
                if header.seed != self.seed || !self.fresh {
                    return None;
                }
                match (foreign, header.sector == sector) {
                    (true, _) => Some(FindingKind::Leak),
                    (false, true) => None,
                    (false, false) => Some(FindingKind::Misplaced),
                }
            }
            (Expected::Unknown | Expected::Changing, _) => None,
            (_, Content::Whole(_)) if foreign => Some(FindingKind::Leak),
            (_, Content::Whole(header)) if header.sector != sector => Some(FindingKind::Misplaced),
            (_, Content::Whole(_)) | (Expected::Written { .. }, Content::Zeros) => {
                Some(FindingKind::Lost)
            }
            // Bytes of somebody else, wherever in the sector, are the worse news.
            (_, _) if headers_in(words).any(|header| self.is_foreign(header)) => {
                Some(FindingKind::Leak)
            }
            (_, _) => Some(FindingKind::Torn),
        }
    }

    /// Whether this guest's history had no such sector.
    fn is_foreign(&self, header: SectorHeader) -> bool {
        header.seed != self.seed || !(self.history)(header.salt, header.sequence)
    }
}

/// What a finding says that a sector must hold.
pub(super) const fn expected_words(expected: Expected) -> [u64; 2] {
    match expected {
        Expected::Written { salt, sequence } => [salt, sequence],
        _ => [0, 0],
    }
}
