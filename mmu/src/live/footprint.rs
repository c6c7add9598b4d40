//! What guests' memory takes of the host: of the frames that are held, those that the host has given
//! memory.
//!
//! A frame that nobody has touched yet takes none, and the memfds and page tables say so
//! ([`Store::resident`]); who holds a frame, its count says. So both have to be right for the sums to be
//! what the kernel charges.

use std::io;
use std::sync::Arc;

use super::LiveSpace;
use crate::family::{Family, Member};
use crate::gfn::{PAGE_SIZE, Run};
use crate::host::{HostMemory, Store};
use crate::layer::Layer;
use crate::table::{Entry, Mapped};

#[cfg(test)]
mod tests;

/// What a guest's memory takes of the host at one moment, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Frames that no other guest and no snapshot holds.
    pub unique_bytes: u64,
    /// Frames that others hold, too: guests and snapshots.
    pub shared_bytes: u64,
    /// Of both, frames that transfers have pinned.
    pub pinned_bytes: u64,
}

impl LiveSpace {
    /// What the guest's memory takes, with what the kernel has copied for it until now. A guest that runs
    /// goes on meanwhile.
    ///
    /// # Errors
    /// When a memfd cannot be asked.
    pub fn footprint(&self) -> io::Result<Footprint> {
        let (map, has_base) = self.map_and_whether_based();
        let runs = map.runs(map.all(), |_, entry| match entry {
            Entry::Mapped(Mapped { layer, writable, .. }) => Some((layer, writable || !has_base)),
            Entry::Empty | Entry::Swapped { .. } => None,
        });
        let mut footprint = Footprint::default();
        for (run, (id, counted)) in runs {
            // The guest may have let go of it by now.
            let Some(layer) = self.family().find_layer(id) else { continue };
            for gfn in layer.store().resident(run)?.into_iter().flat_map(Run::gfns) {
                let tally = layer.tally(gfn);
                let of = match counted && tally.maps <= 1 {
                    true => &mut footprint.unique_bytes,
                    false => &mut footprint.shared_bytes,
                };
                *of += PAGE_SIZE as u64;
                if tally.pins() > 0 {
                    footprint.pinned_bytes += PAGE_SIZE as u64;
                }
            }
        }
        Ok(footprint)
    }
}

impl Family<HostMemory> {
    /// What all frames take that anybody holds, by their counts, in bytes: each frame once. This is what
    /// [`Store::resident_bytes`] of all stores must come to, which no count has a part in.
    ///
    /// # Errors
    /// When a memfd cannot be asked.
    pub fn held_bytes(&self) -> io::Result<u64> {
        for member in self.members() {
            if let Member::Space(space) = member {
                space.learn_all();
            }
        }
        self.held_bytes_as_heard()
    }

    /// The same, without what the host has copied and nobody has heard of.
    fn held_bytes_as_heard(&self) -> io::Result<u64> {
        let of = |layer: Arc<Layer<HostMemory>>| {
            let store: &Store = layer.store();
            let resident = store.resident(Run::new(0, self.pages()))?;
            let held = |gfn: &_| layer.tally(*gfn).refs > 0;
            Ok(resident.into_iter().flat_map(Run::gfns).filter(held).count())
        };
        let layers = self.all_layers().into_iter();
        let frames: usize = layers.map(of).sum::<io::Result<usize>>()?;
        Ok((frames * PAGE_SIZE) as u64)
    }
}
