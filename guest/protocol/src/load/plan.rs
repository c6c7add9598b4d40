//! The parameters of a load, and where it keeps what in its memory.

use super::pattern::Pattern;
use super::words;
use crate::churn::Region;
use crate::devices::VIRTIO_DEVICES;
use crate::disk::{QUEUE_SIZE_MAX, SECTOR_BYTES};
use crate::map::PAGE_BYTES;

/// Most sectors of a block: what devices commonly take as one segment.
const BLOCK_MAX: u64 = 256;
/// Each transfer takes three descriptors.
const SLOTS_MAX: u64 = QUEUE_SIZE_MAX / 4;
const BLOCKS_MAX: u64 = 1 << 32;
const SLOT_BYTES: u64 = 64;
const SHADOW_BYTES: u64 = 8;
const PAGE: u64 = PAGE_BYTES as u64;

/// The parameters of a load. They were checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub(super) device: u64,
    pub(super) sector: u64,
    pub(super) block: u64,
    pub(super) flags: u64,
    pub(super) pattern: Pattern,
    area: Region,
}

impl Plan {
    /// The plan in a control page; `None` if a parameter is out of range, or the memory too small.
    pub fn from_words(word: impl Fn(usize) -> u64) -> Option<Self> {
        let pattern = Pattern {
            seed: word(words::SEED),
            slots: word(words::SLOTS),
            blocks: word(words::BLOCKS),
            writes: word(words::WRITES),
        };
        let plan = Self {
            device: word(words::DEVICE),
            sector: word(words::SECTOR),
            block: word(words::BLOCK),
            flags: word(words::FLAGS),
            pattern,
            area: Region::new(word(words::FIRST), word(words::PAGES))?,
        };
        let fits = plan.device < VIRTIO_DEVICES as u64
            && (1..=BLOCK_MAX).contains(&plan.block)
            && (1..=SLOTS_MAX).contains(&pattern.slots)
            && (pattern.slots..=BLOCKS_MAX).contains(&pattern.blocks)
            && plan.sector <= u64::MAX - plan.sectors();
        (fits && plan.area.pages() >= Self::pages_for(pattern.slots, plan.block, pattern.blocks))
            .then_some(plan)
    }

    /// How many pages of memory a load needs at least.
    #[must_use]
    pub const fn pages_for(slots: u64, block: u64, blocks: u64) -> u64 {
        let tables = slots * SLOT_BYTES + blocks * SHADOW_BYTES;
        tables.div_ceil(PAGE) + slots * (block * SECTOR_BYTES).div_ceil(PAGE)
    }

    /// Sectors of the region.
    pub(super) const fn sectors(&self) -> u64 {
        self.pattern.blocks * self.block
    }

    /// First sector of a block.
    pub(super) const fn first_sector(&self, block: u64) -> u64 {
        self.sector + block * self.block
    }

    pub(super) const fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }

    /// Address of the record of a slot.
    pub(super) const fn slot(&self, slot: u64) -> u64 {
        self.area.first() * PAGE + slot * SLOT_BYTES
    }

    /// Address of the base of a block: 0 while it is not known what it holds.
    pub(super) const fn shadow(&self, block: u64) -> u64 {
        self.slot(self.pattern.slots) + block * SHADOW_BYTES
    }

    /// Address of the buffer of a slot, a multiple of the size of a page.
    pub(super) const fn buffer(&self, slot: u64) -> u64 {
        let buffers = self.shadow(self.pattern.blocks).next_multiple_of(PAGE);
        buffers + slot * (self.block * SECTOR_BYTES).next_multiple_of(PAGE)
    }
}
