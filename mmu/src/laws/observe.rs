//! Everything that can be told about a family, to be compared before and after.

use std::collections::BTreeMap;

use super::Bench;
use crate::family::Family;
use crate::gfn::Gfn;
use crate::image::Image;
use crate::scenario::{Page, Reach};
use crate::space::AddressSpace;
use crate::stats::Counts;
use crate::table::{Entry, LayerId, Table};

/// The whole state, in values.
#[derive(Debug, PartialEq)]
pub(super) struct Observed {
    maps: Vec<Vec<(Gfn, Entry)>>,
    windows: Vec<Result<String, String>>,
    /// Every frame that is held: by whom, and its bytes if some map leads to them.
    frames: BTreeMap<(LayerId, Gfn), (String, Option<Page>)>,
    layers: Vec<LayerId>,
    slots: Vec<String>,
    free_mappings: usize,
    counts: Counts,
}

impl Observed {
    pub(super) fn of<'a, T: Bench>(
        bench: &T,
        family: &Family<T::Backing>,
        spaces: impl Iterator<Item = &'a AddressSpace<T::Backing>>,
        images: impl Iterator<Item = &'a Image<T::Backing>>,
    ) -> Self {
        let (mut maps, mut windows, mut tables) = (Vec::new(), Vec::new(), Vec::new());
        for space in spaces {
            windows.push(bench.window(space));
            tables.push(space.map());
        }
        tables.extend(images.map(Image::map));
        let mut frames = BTreeMap::new();
        for layer in family.pool().iter() {
            for gfn in (0..family.pages()).map(Gfn).filter(|gfn| !layer.is_free(*gfn)) {
                let named = |table: &Table| matches!(table.get(gfn), Entry::Mapped(mapped) if mapped.layer == layer.id());
                let bytes = tables.iter().any(named).then(|| {
                    family.backing().device_read(&family.layer_with_bytes(layer, gfn), gfn)
                });
                frames.insert((layer.id(), gfn), (format!("{:?}", layer.tally(gfn)), bytes));
            }
        }
        maps.extend(tables.iter().map(|table| table.iter().collect()));
        let mut slots: Vec<_> = family.swap.lock().iter().map(|slot| format!("{slot:?}")).collect();
        slots.sort();
        Self {
            maps,
            windows,
            frames,
            layers: family.pool().iter().map(|layer| layer.id()).collect(),
            slots,
            free_mappings: crate::backing::Backing::free_mappings(&**family.backing()),
            counts: family.counters().now(),
        }
    }

    /// What is different, in words.
    pub(super) fn difference(&self, after: &Self) -> Option<String> {
        if self == after {
            return None;
        }
        let (before, after) = (format!("{self:#?}"), format!("{after:#?}"));
        let line = before.lines().zip(after.lines()).find(|(before, after)| before != after);
        Some(format!("{line:?}"))
    }
}
