//! Guest frame numbers: the unit in which everything here counts.

use std::fmt;
use std::ops::Range;

/// Bytes in a page frame: the x86-64 base page (Intel SDM volume 3, section 4.5).
pub const PAGE_SIZE: usize = 4096;

/// A guest frame number: a guest physical address divided by [`PAGE_SIZE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gfn(pub u32);

impl Gfn {
    /// The frame that holds the guest physical address `address` (bytes).
    ///
    /// Addresses of 16 TiB and more have no gfn here: `None`.
    #[must_use]
    pub fn containing(address: u64) -> Option<Self> {
        u32::try_from(address / PAGE_SIZE as u64).ok().map(Self)
    }

    /// Position in a table that has one entry per frame.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// Offset in bytes: the guest physical address, and the offset in a layer.
    #[must_use]
    pub fn offset(self) -> usize {
        self.index() * PAGE_SIZE
    }
}

impl fmt::Display for Gfn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gfn {:#x}", self.0)
    }
}

/// A run of neighbouring frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// The first frame.
    pub first: Gfn,
    /// How many frames.
    pub pages: u32,
}

impl Run {
    /// The run of a single frame.
    #[must_use]
    pub fn one(gfn: Gfn) -> Self {
        Self { first: gfn, pages: 1 }
    }

    /// The run of all frames from `first` up to, not including, `end`.
    #[must_use]
    pub fn new(first: u32, end: u32) -> Self {
        Self { first: Gfn(first), pages: end - first }
    }

    /// The frames, in order.
    pub fn gfns(self) -> impl DoubleEndedIterator<Item = Gfn> + ExactSizeIterator {
        self.numbers().map(Gfn)
    }

    /// The frame numbers, in order.
    #[must_use]
    pub fn numbers(self) -> Range<u32> {
        self.first.0..self.first.0 + self.pages
    }

    /// Offset of the first byte.
    #[must_use]
    pub fn offset(self) -> usize {
        self.first.offset()
    }

    /// Takes so many frames off the beginning, or all that there are.
    pub(crate) fn take_first(&mut self, most: u32) -> Self {
        let taken = Self { pages: self.pages.min(most), ..*self };
        *self = Self::new(taken.numbers().end, self.numbers().end);
        taken
    }

    /// Length in bytes.
    #[must_use]
    pub fn len_bytes(self) -> usize {
        self.pages as usize * PAGE_SIZE
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gfn {:#x}..{:#x}", self.first.0, self.first.0 + self.pages)
    }
}

/// Adds `next` to runs in order: to the last one if it goes on there.
pub(crate) fn join(runs: &mut Vec<Run>, next: Run) {
    match runs.last_mut() {
        Some(last) if last.numbers().end == next.first.0 => last.pages += next.pages,
        _ => runs.push(next),
    }
}

/// The same for runs of which each has a kind: the last one goes on where `next` is of its kind.
pub(crate) fn join_alike<K: PartialEq>(runs: &mut Vec<(Run, K)>, next: Run, kind: K) {
    match runs.last_mut() {
        Some((last, its)) if *its == kind && last.numbers().end == next.first.0 => {
            last.pages += next.pages;
        }
        _ => runs.push((next, kind)),
    }
}

/// Frames in order, as runs of neighbours.
pub(crate) fn neighbours(gfns: impl IntoIterator<Item = Gfn>) -> Vec<Run> {
    let mut runs = Vec::new();
    gfns.into_iter().for_each(|gfn| join(&mut runs, Run::one(gfn)));
    runs
}

#[cfg(test)]
mod tests;
