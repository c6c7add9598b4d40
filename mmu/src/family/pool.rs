//! The layers of a family, and which of them a space has to itself.

use std::sync::{Arc, OnceLock};

use crate::alias::Aliases;
use crate::backing::Backing;
use crate::count::Holder;
use crate::gfn::{Gfn, Run};
use crate::layer::Layer;
use crate::table::LayerId;

#[cfg(test)]
mod tests;

struct Place<B: Backing> {
    layer: Arc<Layer<B>>,
    /// A space allocates from it. Nobody else may.
    owned: bool,
    /// Its frames are what the host copied in a space's window. Nobody else ever allocates from it.
    of_window: bool,
    /// Made for its first pin.
    aliases: OnceLock<Aliases<B>>,
}

impl<B: Backing> Place<B> {
    /// Whether who needs slots may have them here.
    fn is_open(&self) -> bool {
        !self.owned && !self.of_window
    }
}

/// Layers by number.
pub(crate) struct Pool<B: Backing> {
    places: Vec<Option<Place<B>>>,
}

impl<B: Backing> Default for Pool<B> {
    fn default() -> Self {
        Self { places: Vec::new() }
    }
}

impl<B: Backing> Pool<B> {
    pub(crate) fn get(&self, id: LayerId) -> Option<&Arc<Layer<B>>> {
        self.place(id).map(|place| &place.layer)
    }

    fn place(&self, id: LayerId) -> Option<&Place<B>> {
        self.places.get(id.0 as usize)?.as_ref()
    }

    /// The aliases of a layer that an entry names, made by `make` if there are none yet.
    pub(super) fn aliases(
        &self,
        id: LayerId,
        make: impl FnOnce(&Arc<Layer<B>>) -> Aliases<B>,
    ) -> &Aliases<B> {
        let place = self.place(id).unwrap_or_else(|| gone(id));
        place.aliases.get_or_init(|| make(&place.layer))
    }

    /// A layer that an entry names. See [`Family::layer`](super::Family::layer) for the panic.
    pub(crate) fn layer(&self, id: LayerId) -> &Arc<Layer<B>> {
        self.get(id).unwrap_or_else(|| gone(id))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Layer<B>>> {
        self.places.iter().flatten().map(|place| &place.layer)
    }

    /// Takes a layer that nobody owns and whose slots in `needed` are all free.
    pub(super) fn take_free(&mut self, needed: &[Run]) -> Option<Arc<Layer<B>>> {
        let place = self
            .places
            .iter_mut()
            .flatten()
            .find(|place| place.is_open() && place.layer.fits(needed))?;
        place.owned = true;
        Some(Arc::clone(&place.layer))
    }

    /// Takes the layer that nobody owns in which the most of `blocks` find all their slots free, if
    /// that is at least half of them. Few are tried, the emptiest first: this is part of a fork.
    pub(super) fn take_fitting(&mut self, blocks: &[&[Run]]) -> Option<Arc<Layer<B>>> {
        const MOST_TRIED: usize = 8;
        let mut unowned: Vec<&mut Place<B>> =
            self.places.iter_mut().flatten().filter(|place| place.is_open()).collect();
        // Each is asked once: their number of frames changes meanwhile.
        unowned.sort_by_cached_key(|place| place.layer.live());
        unowned.truncate(MOST_TRIED);
        let (most, place) = unowned
            .into_iter()
            .map(|place| (blocks.iter().filter(|runs| place.layer.fits(runs)).count(), place))
            // Of those that fit equally well, the first.
            .reduce(|best, next| if next.0 > best.0 { next } else { best })?;
        if 2 * most < blocks.len() {
            return None;
        }
        place.owned = true;
        Some(Arc::clone(&place.layer))
    }

    /// Adds a layer, owned by whoever asked.
    pub(super) fn add(
        &mut self,
        of_window: bool,
        make: impl FnOnce(LayerId) -> Layer<B>,
    ) -> Arc<Layer<B>> {
        let index = self.places.iter().position(Option::is_none).unwrap_or(self.places.len());
        if index == self.places.len() {
            self.places.push(None);
        }
        let id = LayerId(u32::try_from(index).expect("fewer layers than 2^32"));
        let layer = Arc::new(make(id));
        let aliases = OnceLock::new();
        self.places[index] =
            Some(Place { layer: Arc::clone(&layer), owned: true, of_window, aliases });
        layer
    }

    /// Ends the ownership of layers, then removes every layer without owner or live frames. The
    /// removed ones are returned, to be dropped without the lock.
    #[must_use]
    pub(super) fn give_back(
        &mut self,
        layers: impl Iterator<Item = LayerId>,
    ) -> Vec<Arc<Layer<B>>> {
        for id in layers {
            if let Some(place) = &mut self.places[id.0 as usize] {
                place.owned = false;
            }
        }
        let dead = |place: &Option<Place<B>>| {
            place.as_ref().is_some_and(|place| !place.owned && place.layer.live() == 0)
        };
        self.places
            .iter_mut()
            .filter(|place| dead(place))
            .filter_map(|place| {
                let layer = place.take()?.layer;
                layer.retire();
                Some(layer)
            })
            .collect()
    }

    pub(super) fn claim_unowned(&self, gfn: Gfn, holder: Holder) -> Option<Arc<Layer<B>>> {
        self.places
            .iter()
            .flatten()
            .filter(|place| place.is_open())
            .find(|place| place.layer.claim(gfn, holder))
            .map(|place| Arc::clone(&place.layer))
    }
}

fn gone(id: LayerId) -> ! {
    panic!("layer {} is gone while an entry names it", id.0)
}
