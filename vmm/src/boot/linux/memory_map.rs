//! Which parts of guest-physical memory are RAM: for the `e820` table of the zero page and for the
//! memory map of PVH, which have the same types (ACPI 6.5, table 15.2).

use super::layout::{ACPI, GENERATION_ID, HIGH_RAM, LOW_RAM_END};

#[cfg(test)]
mod tests;

/// What a range is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    Ram = 1,
    Reserved = 2,
    Acpi = 3,
}

/// A range of guest-physical memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: u64,
    pub(super) len_bytes: u64,
    pub(super) kind: Kind,
}

impl Range {
    fn new(start: u64, end: u64, kind: Kind) -> Range {
        Range { start, len_bytes: end - start, kind }
    }
}

/// The ranges of a guest with `ram_bytes` bytes, at least 1 MiB and a page, in order.
pub(super) fn ranges(ram_bytes: u64) -> [Range; 5] {
    [
        Range::new(0, LOW_RAM_END, Kind::Ram),
        Range::new(LOW_RAM_END, 0xa_0000, Kind::Reserved),
        Range::new(ACPI, GENERATION_ID, Kind::Acpi),
        // What the kernel may not take back once it has read it.
        Range::new(GENERATION_ID, HIGH_RAM, Kind::Reserved),
        Range::new(HIGH_RAM, ram_bytes, Kind::Ram),
    ]
}
