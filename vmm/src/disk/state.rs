//! What changes about a disk: its map, its generation, and what is in flight.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use super::DiskError;
use super::geometry::{Geometry, Mask, Piece};
use super::map::{Garbage, Map};
use super::store::{Slot, Store};

/// A slot with transfers into it, which the map may or may not name already.
#[derive(Debug)]
struct Busy {
    slot: Arc<Slot>,
    sectors: Mask,
}

/// A part of a write, and the slot it goes to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) piece: Piece,
    pub(super) slot: Arc<Slot>,
}

/// The state of a disk, behind its lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) map: Map,
    /// Where it allocates. `None`: it is written in place, or not at all.
    pub(super) store: Option<Arc<Store>>,
    /// Stores of its ancestors. They may hold what was written before the cut and is not durable.
    pub(super) lineage: Vec<Weak<Store>>,
    /// Writes into the base itself that are in flight: first sector and count, by ticket.
    in_place: BTreeMap<u64, (u64, u64)>,
    /// Slots of this generation with transfers in flight, by cluster.
    busy: HashMap<u64, Vec<Busy>>,
    generation: u64,
    tickets: u64,
    pub(super) in_flight: usize,
    /// Counts changes of the map, for a store with a name.
    pub(super) version: u64,
    /// The last change of each cluster that the map on the device lacks.
    pub(super) unrecorded: BTreeMap<u64, u64>,
}

impl State {
    pub(super) fn new(map: Map, store: Option<Arc<Store>>, lineage: Vec<Weak<Store>>) -> Self {
        Self {
            map,
            store,
            lineage,
            in_place: BTreeMap::new(),
            busy: HashMap::new(),
            generation: 0,
            tickets: 0,
            in_flight: 0,
            version: 0,
            unrecorded: BTreeMap::new(),
        }
    }

    /// A transfer begins; its number.
    pub(super) fn begin(&mut self) -> u64 {
        self.in_flight += 1;
        self.tickets += 1;
        self.tickets
    }

    /// A transfer into the base begins.
    pub(super) fn begin_in_place(&mut self, first: u64, count: u64) -> u64 {
        let ticket = self.begin();
        self.in_place.insert(ticket, (first, count));
        ticket
    }

    /// A transfer is over, however it went.
    pub(super) fn end(&mut self, ticket: u64) {
        self.in_flight -= 1;
        self.in_place.remove(&ticket);
    }

    /// Finds a place for `piece` that nobody can read and no transfer is on its way to.
    pub(super) fn aim(&mut self, piece: Piece) -> Result<Option<Target>, DiskError> {
        let Some(store) = &self.store else { return Ok(None) };
        let sectors = piece.mask();
        let parts = self.map.get(piece.cluster).map_or(&[][..], |entry| &entry.parts);
        let busy = self.busy.entry(piece.cluster).or_default();
        let valid = |slot: &Arc<Slot>| {
            parts.iter().find(|part| Arc::ptr_eq(&part.slot, slot)).map_or(0, |part| part.valid)
        };
        let underway = |busy: &[Busy], slot: &Arc<Slot>| {
            busy.iter().find(|busy| Arc::ptr_eq(&busy.slot, slot)).map_or(0, |busy| busy.sectors)
        };
        let known = parts.iter().map(|part| &part.slot).chain(busy.iter().map(|busy| &busy.slot));
        let fit = known
            .filter(|slot| Arc::ptr_eq(slot.store(), store) && slot.generation() == self.generation)
            .find(|slot| (valid(slot) | underway(busy, slot)) & sectors == 0);
        let slot = match fit.cloned() {
            Some(slot) => slot,
            None => match store.allocate(self.generation) {
                Ok(slot) => slot,
                Err(error) => {
                    self.busy.retain(|_, busy| !busy.is_empty());
                    return Err(error);
                }
            },
        };
        match busy.iter_mut().find(|busy| Arc::ptr_eq(&busy.slot, &slot)) {
            Some(busy) => busy.sectors |= sectors,
            None => busy.push(Busy { slot: Arc::clone(&slot), sectors }),
        }
        Ok(Some(Target { piece, slot }))
    }

    /// The transfer to `target` is over.
    pub(super) fn release(&mut self, target: &Target) {
        let Some(busy) = self.busy.get_mut(&target.piece.cluster) else { return };
        for busy in busy.iter_mut().filter(|busy| Arc::ptr_eq(&busy.slot, &target.slot)) {
            busy.sectors &= !target.piece.mask();
        }
        busy.retain(|busy| busy.sectors != 0);
        if busy.is_empty() {
            self.busy.remove(&target.piece.cluster);
        }
    }

    /// What was written to `target` is the newest version from now on; of `only` these sectors.
    pub(super) fn land(&mut self, target: &Target, only: Mask, garbage: &mut Garbage) {
        let sectors = target.piece.mask() & only;
        self.map.edit(target.piece.cluster).land(&target.slot, sectors, garbage);
        self.changed(target.piece.cluster);
    }

    /// `piece` holds zeroes from now on.
    pub(super) fn clear(&mut self, piece: Piece, garbage: &mut Garbage) {
        self.map.edit(piece.cluster).clear(piece.mask(), garbage);
        self.changed(piece.cluster);
    }

    /// The sectors of a cluster that are unreadable.
    pub(super) fn unreadable(&self, cluster: u64) -> Mask {
        self.map.get(cluster).map_or(0, |entry| entry.unreadable)
    }

    fn changed(&mut self, cluster: u64) {
        self.version += 1;
        self.unrecorded.insert(cluster, self.version);
    }

    /// Freezes all that was written, and returns the map of whoever is born now.
    ///
    /// With `exact`, sectors with a write in flight into the base itself are unreadable there.
    pub(super) fn cut(&mut self, geometry: Geometry, exact: bool) -> Map {
        self.generation += 1;
        self.busy.clear();
        let mut map = self.map.clone();
        let in_place = self.in_place.values().filter(|_| exact);
        // They were within the disk when they began.
        for piece in in_place.flat_map(|(first, count)| geometry.pieces(*first, *count)).flatten() {
            let entry = map.edit(piece.cluster);
            entry.unreadable |= piece.mask() & !entry.known();
        }
        map
    }

    /// The stores that may hold what a child of this disk reads.
    pub(super) fn ancestry(&mut self) -> Vec<Weak<Store>> {
        self.lineage.retain(|store| store.strong_count() != 0);
        self.lineage.iter().cloned().chain(self.store.as_ref().map(Arc::downgrade)).collect()
    }
}
