//! The parameters of a storm, and where it keeps what in its memory.

use super::words;
use crate::churn::Region;
use crate::devices::VIRTIO_DEVICES;
use crate::disk::{QUEUE_SIZE_MAX, SECTOR_BYTES};
use crate::map::PAGE_BYTES;

/// Most sectors of a transfer.
const MOST_MAX: u64 = 128;
/// Most sectors of a transfer of the small slots, and their segments.
const SMALL_MOST: u64 = 7;
const SMALL_SEGMENTS: u64 = 3;
const LARGE_SEGMENTS: u64 = crate::disk::SEGMENTS_MAX as u64;
/// Most bytes of stamps before, between or after segments.
pub(super) const GAP_MOST: u64 = SECTOR_BYTES;
/// Of so many slots, the first is large.
const GROUP: u64 = 4;
/// Salts that are remembered.
pub(super) const SALTS_MAX: u64 = 1024;
const SALT_BYTES: u64 = 16;
const SLOT_BYTES: u64 = 256;
const SHADOW_BYTES: u64 = 16;
/// Pages that are given up from time to time.
pub(super) const LENT_PAGES: u64 = 16;
const LENT_BYTES: u64 = 16;
const SECTORS_MAX: u64 = 1 << 32;

/// The parameters of a storm. They were checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub(super) device: u64,
    pub(super) sector: u64,
    pub(super) sectors: u64,
    pub(super) depth: u64,
    pub(super) most: u64,
    pub(super) writes: u64,
    pub(super) unaligned: u64,
    pub(super) flags: u64,
    pub(super) area: Region,
    pub(super) seed: u64,
}

/// The memory in which the transfers of a slot have their buffers. Neither end is that of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) address: u64,
    pub(super) bytes: u64,
    pub(super) most_sectors: u64,
    pub(super) most_segments: u64,
}

impl Plan {
    /// The plan in a control page; `None` if a parameter is out of range, or the memory too small.
    pub fn from_words(word: impl Fn(usize) -> u64) -> Option<Self> {
        let plan = Self {
            device: word(words::DEVICE),
            sector: word(words::SECTOR),
            sectors: word(words::SECTORS),
            depth: word(words::DEPTH),
            most: word(words::MOST),
            writes: word(words::WRITES),
            unaligned: word(words::UNALIGNED),
            flags: word(words::FLAGS),
            area: Region::new(word(words::FIRST), word(words::PAGES))?,
            seed: word(words::SEED),
        };
        let fits = plan.device < VIRTIO_DEVICES as u64
            && (1..=SECTORS_MAX).contains(&plan.sectors)
            && plan.sector <= u64::MAX - plan.sectors
            && (1..=QUEUE_SIZE_MAX).contains(&plan.depth)
            && (1..=MOST_MAX).contains(&plan.most);
        (fits && plan.area.pages() >= plan.pages()).then_some(plan)
    }

    /// How many pages of memory a storm needs at least.
    #[must_use]
    pub const fn pages_for(depth: u64, most: u64, sectors: u64) -> u64 {
        let tables = SALTS_MAX * SALT_BYTES
            + depth * SLOT_BYTES
            + sectors * SHADOW_BYTES
            + LENT_PAGES * LENT_BYTES;
        let page = PAGE_BYTES as u64;
        tables.div_ceil(page) + span_offset(depth, most).div_ceil(page) + LENT_PAGES
    }

    /// Where the shadow is: its address and its length in bytes.
    #[must_use]
    pub const fn shadow_range(&self) -> (u64, u64) {
        (self.slot(self.depth), self.sectors * SHADOW_BYTES)
    }

    /// Where the salts are remembered: address and length in bytes.
    #[must_use]
    pub const fn salts_range(&self) -> (u64, u64) {
        (self.start(), SALTS_MAX * SALT_BYTES)
    }

    /// The pages of memory that it may use.
    #[must_use]
    pub const fn area(&self) -> Region {
        self.area
    }

    /// The sectors: the first, and how many.
    #[must_use]
    pub const fn region(&self) -> (u64, u64) {
        (self.sector, self.sectors)
    }

    pub(super) const fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }

    const fn pages(&self) -> u64 {
        Self::pages_for(self.depth, self.most, self.sectors)
    }

    const fn start(&self) -> u64 {
        self.area.first() * PAGE_BYTES as u64
    }

    /// Address of the pair of the salt that was taken up as number `number`.
    pub(super) const fn salt(&self, number: u64) -> u64 {
        self.start() + number % SALTS_MAX * SALT_BYTES
    }

    /// Address of the record of a slot.
    pub(super) const fn slot(&self, slot: u64) -> u64 {
        self.start() + SALTS_MAX * SALT_BYTES + slot * SLOT_BYTES
    }

    /// Address of the shadow of a sector of the region.
    pub(super) const fn shadow(&self, sector: u64) -> u64 {
        self.slot(self.depth) + (sector - self.sector) * SHADOW_BYTES
    }

    /// Address of what is kept of a page that is given up from time to time.
    pub(super) const fn lent_entry(&self, number: u64) -> u64 {
        self.shadow(self.sector + self.sectors) + number * LENT_BYTES
    }

    /// Address of such a page.
    pub(super) const fn lent_page(&self, number: u64) -> u64 {
        let page = PAGE_BYTES as u64;
        let spans = self.spans() + span_offset(self.depth, self.most);
        spans.next_multiple_of(page) + number * page
    }

    const fn spans(&self) -> u64 {
        self.lent_entry(LENT_PAGES).next_multiple_of(PAGE_BYTES as u64)
    }

    pub(super) const fn span(&self, slot: u64) -> Span {
        let address = self.spans() + span_offset(slot, self.most);
        let large = slot.is_multiple_of(GROUP);
        let (most_sectors, most_segments) = shape(large, self.most);
        Span { address, bytes: span_bytes(large, self.most), most_sectors, most_segments }
    }
}

const fn shape(large: bool, most: u64) -> (u64, u64) {
    match (large, most < SMALL_MOST) {
        (true, _) => (most, LARGE_SEGMENTS),
        (false, true) => (most, SMALL_SEGMENTS),
        (false, false) => (SMALL_MOST, SMALL_SEGMENTS),
    }
}

const fn span_bytes(large: bool, most: u64) -> u64 {
    let (sectors, segments) = shape(large, most);
    sectors * SECTOR_BYTES + (segments + 1) * GAP_MOST
}

const fn span_offset(slot: u64, most: u64) -> u64 {
    let (large, small) = (span_bytes(true, most), span_bytes(false, most));
    let group = slot / GROUP * (large + (GROUP - 1) * small);
    match slot % GROUP {
        0 => group,
        number => group + large + (number - 1) * small,
    }
}
