//! The address map of a space or an image: one small entry per guest frame.
//!
//! Entries stand in chunks that maps share until one of them changes an entry, so that a hundred
//! clones of a snapshot do not hold a hundred copies of its map.

use std::sync::Arc;

use crate::gfn::{Gfn, Run, join, join_alike};

#[cfg(test)]
mod tests;

/// Which layer of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerId(pub u32);

/// Which shared place in the swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u32);

/// What a guest frame number leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// Nothing yet: only in maps under construction.
    Empty,
    /// A frame of a layer, at the same offset.
    Mapped(Mapped),
    /// Content that was evicted.
    Swapped {
        /// Where, and shared with whom.
        slot: SlotId,
        /// The private bit that the page had, and gets back.
        private: bool,
    },
}

/// An entry that leads to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mapped {
    /// The layer.
    pub layer: LayerId,
    /// Writes go straight to the frame.
    pub writable: bool,
    /// The private bit of the rule sets that have one.
    pub private: bool,
}

impl Mapped {
    /// The entry of a page that its space alone may reach and write.
    #[must_use]
    pub fn own(layer: LayerId) -> Self {
        Self { layer, writable: true, private: true }
    }
}

/// An [`Entry`] in 32 bits: kind (2), writable, private, and 28 bits of layer or slot.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Packed(u32);

const MAPPED: u32 = 1 << 30;
const SWAPPED: u32 = 2 << 30;
const KIND: u32 = 3 << 30;
const WRITABLE: u32 = 1 << 29;
const PRIVATE: u32 = 1 << 28;
const NUMBER: u32 = PRIVATE - 1;

impl Packed {
    fn new(entry: Entry) -> Self {
        let bit = |set: bool, bit: u32| if set { bit } else { 0 };
        Self(match entry {
            Entry::Empty => 0,
            Entry::Mapped(Mapped { layer, writable, private }) => {
                MAPPED | bit(writable, WRITABLE) | bit(private, PRIVATE) | (layer.0 & NUMBER)
            }
            Entry::Swapped { slot, private } => SWAPPED | bit(private, PRIVATE) | (slot.0 & NUMBER),
        })
    }

    fn entry(self) -> Entry {
        let number = self.0 & NUMBER;
        let private = self.0 & PRIVATE != 0;
        match self.0 & KIND {
            MAPPED => Entry::Mapped(Mapped {
                layer: LayerId(number),
                writable: self.0 & WRITABLE != 0,
                private,
            }),
            SWAPPED => Entry::Swapped { slot: SlotId(number), private },
            _ => Entry::Empty,
        }
    }
}

/// Entries per chunk, unless the guest is smaller: 2 MiB of guest memory, 2 KiB of map.
const CHUNK: usize = 512;

/// A map from gfn to entry.
#[derive(Clone)]
pub struct Table {
    pages: u32,
    chunks: Arc<Vec<Arc<[Packed]>>>,
}

impl Table {
    /// A map of `pages` frames that all have the same entry.
    #[must_use]
    pub fn filled(pages: u32, entry: Entry) -> Self {
        let chunk: Arc<[Packed]> = vec![Packed::new(entry); CHUNK.min(pages as usize)].into();
        Self { pages, chunks: Arc::new(vec![chunk; (pages as usize).div_ceil(CHUNK)]) }
    }

    /// How many frames the map covers.
    #[must_use]
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// Every frame of the map.
    #[must_use]
    pub fn all(&self) -> Run {
        Run::new(0, self.pages)
    }

    /// The entry of `gfn`.
    ///
    /// # Panics
    /// When `gfn` is outside the map, as indexing does.
    #[must_use]
    pub fn get(&self, gfn: Gfn) -> Entry {
        debug_assert!(gfn.0 < self.pages);
        self.chunks[gfn.index() / CHUNK][gfn.index() % CHUNK].entry()
    }

    /// Changes the entry of `gfn`. A chunk that other maps share is copied first.
    ///
    /// # Panics
    /// When `gfn` is outside the map, as indexing does.
    pub fn set(&mut self, gfn: Gfn, entry: Entry) {
        debug_assert!(gfn.0 < self.pages);
        let chunks = Arc::make_mut(&mut self.chunks);
        Arc::make_mut(&mut chunks[gfn.index() / CHUNK])[gfn.index() % CHUNK] = Packed::new(entry);
    }

    /// Gives all entries of `run` one value. The chunks that it covers are one in memory.
    ///
    /// # Panics
    /// When it is not within the table.
    pub fn set_run(&mut self, run: Run, entry: Entry) {
        let (packed, numbers) = (Packed::new(entry), run.numbers());
        let (mut at, end) = (numbers.start as usize, numbers.end as usize);
        let chunks = Arc::make_mut(&mut self.chunks);
        let mut whole: Option<Arc<[Packed]>> = None;
        while at < end {
            let chunk = &mut chunks[at / CHUNK];
            let within = at % CHUNK..CHUNK.min(at % CHUNK + end - at);
            at += within.len();
            if within.len() == chunk.len() {
                let whole = whole.get_or_insert_with(|| vec![packed; within.len()].into());
                *chunk = Arc::clone(whole);
            } else {
                Arc::make_mut(chunk)[within].fill(packed);
            }
        }
    }

    /// The map with `change` applied to every entry. Chunks in which nothing changes stay shared.
    #[must_use]
    pub fn map(&self, change: impl Fn(Entry) -> Entry) -> Self {
        let mut memo = (Packed::new(Entry::Empty), Packed::new(change(Entry::Empty)));
        let mut changed = |packed: Packed| {
            if packed != memo.0 {
                memo = (packed, Packed::new(change(packed.entry())));
            }
            memo.1
        };
        let chunk = |chunk: &Arc<[Packed]>| {
            let new: Arc<[Packed]> = chunk.iter().map(|&packed| changed(packed)).collect();
            if new == *chunk { Arc::clone(chunk) } else { new }
        };
        Self { pages: self.pages, chunks: Arc::new(self.chunks.iter().map(chunk).collect()) }
    }

    /// The parts of the map that are not the same memory as in `other`, a map of as many frames: all
    /// entries that differ are in them.
    pub(crate) fn apart_from(&self, other: &Self) -> Vec<Run> {
        match Arc::ptr_eq(&self.chunks, &other.chunks) {
            true => Vec::new(),
            false => self.chunks_that(other, |own, its| !Arc::ptr_eq(own, its)),
        }
    }

    /// The parts of the map that are the same memory as in `other`, a map of as many frames.
    pub(crate) fn shared_with(&self, other: &Self) -> Vec<Run> {
        self.chunks_that(other, Arc::ptr_eq)
    }

    fn chunks_that(
        &self,
        other: &Self,
        compare: impl Fn(&Arc<[Packed]>, &Arc<[Packed]>) -> bool,
    ) -> Vec<Run> {
        let chunks = self.chunks.iter().zip(other.chunks.iter());
        let found = (0..).step_by(CHUNK).zip(chunks).filter(|(_, (own, its))| compare(own, its));
        let mut runs = Vec::new();
        for (first, _) in found {
            join(&mut runs, Run::new(first, self.pages.min(first + CHUNK as u32)));
        }
        runs
    }

    /// Entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (Gfn, Entry)> + '_ {
        self.entries(self.all())
    }

    /// The entries of a run, in order.
    pub fn entries(&self, run: Run) -> impl Iterator<Item = (Gfn, Entry)> + '_ {
        run.gfns().map(|gfn| (gfn, self.get(gfn)))
    }

    /// The maximal runs of neighbours that lead to frames of the same layer.
    pub(crate) fn layers(&self, within: Run) -> Vec<(Run, LayerId)> {
        self.runs(within, |_, entry| match entry {
            Entry::Mapped(mapped) => Some(mapped.layer),
            Entry::Empty | Entry::Swapped { .. } => None,
        })
    }

    /// The maximal runs of neighbours for which `key` gives the same `Some`.
    pub fn runs<K: PartialEq + Copy>(
        &self,
        within: Run,
        key: impl Fn(Gfn, Entry) -> Option<K>,
    ) -> Vec<(Run, K)> {
        let mut runs: Vec<(Run, K)> = Vec::new();
        for (gfn, entry) in self.entries(within) {
            if let Some(key) = key(gfn, entry) {
                join_alike(&mut runs, Run::one(gfn), key);
            }
        }
        runs
    }
}
