//! Maps: where the newest version of each sector of one disk is.
//!
//! A map is what one disk, or one image, sees above its base. It names only what is complete. A copy
//! of a map shares all its chunks with the original; a chunk, and then an entry, is copied when one
//! of the two changes it. So a copy costs a pointer per chunk, whatever was written before.

use std::sync::Arc;

use super::geometry::Mask;
use super::store::Slot;

#[cfg(test)]
mod tests;

/// Entries per chunk: 16 MiB of a disk with clusters of 64 KiB.
const CHUNK: usize = 256;

/// Sectors of one cluster that are in a slot.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) slot: Arc<Slot>,
    pub(super) valid: Mask,
}

/// What is known of one cluster. No sector is in two of these places; a sector in none is read from
/// the base.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    /// Sectors that hold zeroes.
    pub(super) zero: Mask,
    /// Sectors that were being written in the base itself at the cut.
    pub(super) unreadable: Mask,
    pub(super) parts: Vec<Part>,
}

/// Where a sector is, and which sectors of the cluster are at the same place.
pub(super) enum Source<'a> {
    Slot(&'a Arc<Slot>, Mask),
    Zeroes(Mask),
    Unreadable(Mask),
    Base(Mask),
}

/// Slots that lost a user. To be dropped without a lock, as that may take a system call.
pub(super) type Garbage = Vec<Arc<Slot>>;

impl Entry {
    /// The sectors that are not read from the base.
    pub(super) fn known(&self) -> Mask {
        self.parts.iter().fold(self.zero | self.unreadable, |known, part| known | part.valid)
    }

    /// Where a sector is.
    pub(super) fn source(&self, within: u32) -> Source<'_> {
        let bit = 1 << within;
        if let Some(part) = self.parts.iter().find(|part| part.valid & bit != 0) {
            Source::Slot(&part.slot, part.valid)
        } else if self.zero & bit != 0 {
            Source::Zeroes(self.zero)
        } else if self.unreadable & bit != 0 {
            Source::Unreadable(self.unreadable)
        } else {
            Source::Base(!self.known())
        }
    }

    /// The newest version of `sectors` is in `slot`.
    pub(super) fn land(&mut self, slot: &Arc<Slot>, sectors: Mask, garbage: &mut Garbage) {
        if sectors == 0 {
            return;
        }
        let place = self.parts.iter().position(|part| Arc::ptr_eq(&part.slot, slot));
        let place = place.unwrap_or_else(|| {
            self.parts.push(Part { slot: Arc::clone(slot), valid: 0 });
            self.parts.len() - 1
        });
        self.zero &= !sectors;
        self.unreadable &= !sectors;
        for (at, part) in self.parts.iter_mut().enumerate() {
            part.valid = if at == place { part.valid | sectors } else { part.valid & !sectors };
        }
        self.sweep(garbage);
    }

    /// `sectors` hold zeroes.
    pub(super) fn clear(&mut self, sectors: Mask, garbage: &mut Garbage) {
        self.zero |= sectors;
        self.unreadable &= !sectors;
        self.parts.iter_mut().for_each(|part| part.valid &= !sectors);
        self.sweep(garbage);
    }

    fn sweep(&mut self, garbage: &mut Garbage) {
        garbage.extend(self.parts.extract_if(.., |part| part.valid == 0).map(|part| part.slot));
    }
}

type Chunk = Vec<Option<Arc<Entry>>>;

/// The entries of all clusters of a disk.
#[derive(Clone, Debug)]
pub(super) struct Map {
    chunks: Vec<Option<Arc<Chunk>>>,
}

impl Map {
    /// A map that says nothing about any of `clusters` clusters.
    pub(super) fn new(clusters: u64) -> Self {
        Self { chunks: vec![None; (clusters as usize).div_ceil(CHUNK)] }
    }

    /// Says nothing about clusters from the end of a smaller disk to `clusters`.
    pub(super) fn grow(&mut self, clusters: u64) {
        self.chunks.resize((clusters as usize).div_ceil(CHUNK).max(self.chunks.len()), None);
    }

    /// What is known of a cluster.
    pub(super) fn get(&self, cluster: u64) -> Option<&Entry> {
        let (chunk, within) = place(cluster);
        self.chunks[chunk].as_ref()?[within].as_deref()
    }

    /// The entry of a cluster, to be changed in this map only.
    pub(super) fn edit(&mut self, cluster: u64) -> &mut Entry {
        let (chunk, within) = place(cluster);
        let chunk = self.chunks[chunk].get_or_insert_with(|| Arc::new(vec![None; CHUNK]));
        Arc::make_mut(Arc::make_mut(chunk)[within].get_or_insert_default())
    }

    /// All that is known, by cluster.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.chunks.iter().enumerate().flat_map(|(number, chunk)| {
            chunk.iter().flat_map(|chunk| chunk.iter()).enumerate().filter_map(
                move |(within, entry)| {
                    entry.as_deref().map(|entry| ((number * CHUNK + within) as u64, entry))
                },
            )
        })
    }
}

fn place(cluster: u64) -> (usize, usize) {
    (cluster as usize / CHUNK, cluster as usize % CHUNK)
}
