//! Pages of guest memory, as drivers name them.

use crate::virtio::chain::Segment;

#[cfg(test)]
mod tests;

/// Bits of an address within a page of a balloon.
const SHIFT: u32 = 12;
const PAGE: u64 = 1 << SHIFT;

/// Neighbouring pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pages {
    /// The number of the first.
    pub(super) first: u32,
    /// How many, at least 1.
    pub(super) pages: u32,
}

impl Pages {
    /// How many pages all of them are.
    pub(super) fn sum(all: &[Self]) -> u32 {
        all.iter().map(|run| run.pages).sum()
    }

    /// Up to `most` pages of `all`, after the first `done`.
    pub(super) fn part(all: &[Self], mut done: u64, mut most: u32) -> Vec<Self> {
        let mut part = Vec::new();
        for run in all {
            let skipped = done.min(run.pages.into()) as u32;
            done -= u64::from(skipped);
            let pages = (run.pages - skipped).min(most);
            if pages > 0 {
                part.push(Self { first: run.first + skipped, pages });
                most -= pages;
            }
        }
        part
    }

    /// As a range of memory; `None` for one longer than a range can be.
    pub(super) fn segment(&self) -> Option<Segment> {
        let len = self.pages.checked_mul(PAGE as u32)?;
        Some(Segment { address: u64::from(self.first) << SHIFT, len })
    }
}

/// The whole pages of a range that lies in memory, if it has any.
pub(super) fn whole_pages(range: &Segment) -> Option<Pages> {
    let first = range.address.div_ceil(PAGE);
    let end = (range.address + u64::from(range.len)) / PAGE;
    let pages = end.checked_sub(first).filter(|pages| *pages > 0)?;
    Some(Pages { first: u32::try_from(first).ok()?, pages: u32::try_from(pages).ok()? })
}

/// Page numbers of 32 bits, little-endian, with neighbours that are named in order, up or down, put
/// together. (Linux' allocator gives both.)
pub(super) fn runs_of(bytes: &[u8]) -> Vec<Pages> {
    let (numbers, _) = bytes.as_chunks::<4>();
    let mut runs: Vec<Pages> = Vec::new();
    for number in numbers.iter().map(|bytes| u32::from_le_bytes(*bytes)) {
        match runs.last_mut() {
            Some(last) if last.first.checked_add(last.pages) == Some(number) => last.pages += 1,
            Some(last) if number.checked_add(1) == Some(last.first) => {
                *last = Pages { first: number, pages: last.pages + 1 };
            }
            _ => runs.push(Pages { first: number, pages: 1 }),
        }
    }
    runs
}

/// What remains of `segments` behind the first `bytes`.
pub(super) fn skip(segments: &[Segment], mut bytes: usize) -> Vec<Segment> {
    let mut rest = Vec::new();
    for &Segment { address, len } in segments {
        let skipped = bytes.min(len as usize);
        bytes -= skipped;
        if skipped < len as usize {
            let address = address.saturating_add(skipped as u64);
            rest.push(Segment { address, len: len - skipped as u32 });
        }
    }
    rest
}
