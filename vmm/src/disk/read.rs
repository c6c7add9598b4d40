//! Where the bytes of a read are.

use std::fs::File;
use std::sync::Arc;

use super::geometry::{Mask, Piece};
use super::map::{Entry, Source};
use super::store::Slot;
use super::{Disk, DiskError, SECTOR_BYTES};

/// Where sectors are, or are to go.
#[derive(Clone, Debug)]
pub enum Place {
    /// In a file.
    File {
        /// The file.
        file: Arc<File>,
        /// Where in the file, in bytes.
        offset: u64,
    },
    /// Nowhere: they hold zeroes.
    Zeroes,
    /// Nowhere yet: a write to them was in flight when the disk was forked, and was neither issued
    /// again nor failed ([`Disk::settle`]). A read is to fail with an I/O error.
    Unreadable,
}

/// Sectors in a row at one place.
#[derive(Clone, Debug)]
pub struct Extent {
    /// How many.
    pub sectors: u64,
    /// Where.
    pub place: Place,
}

/// The places of a read, in the order of the disk.
///
/// It keeps what it names from being used again, so it is to be held until the read is over.
#[derive(Debug, Default)]
pub struct ReadPlan {
    extents: Vec<Extent>,
    held: Vec<Arc<Slot>>,
}

impl ReadPlan {
    /// The places, which together have the size of the read.
    #[must_use]
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }
}

/// Adds an extent, to the one before it if it goes on there.
pub(super) fn push(extents: &mut Vec<Extent>, sectors: u64, place: Place) {
    if let Some(last) = extents.last_mut() {
        let goes_on = match (&last.place, &place) {
            (Place::File { file, offset }, Place::File { file: next, offset: at }) => {
                Arc::ptr_eq(file, next) && offset + last.sectors * SECTOR_BYTES == *at
            }
            (Place::Zeroes, Place::Zeroes) | (Place::Unreadable, Place::Unreadable) => true,
            _ => false,
        };
        if goes_on {
            last.sectors += sectors;
            return;
        }
    }
    extents.push(Extent { sectors, place });
}

impl Disk {
    /// Says where `count` sectors from `first` are now.
    ///
    /// # Errors
    ///
    /// [`DiskError::Range`].
    pub fn read_plan(&self, first: u64, count: u64) -> Result<ReadPlan, DiskError> {
        let mut plan = ReadPlan::default();
        let pieces = self.shared.geometry.pieces(first, count)?;
        let state = self.shared.state.lock();
        for piece in pieces {
            match state.map.get(piece.cluster) {
                Some(entry) => self.plan_entry(&mut plan, piece, entry),
                None => self.plan_base(&mut plan, piece),
            }
        }
        Ok(plan)
    }

    fn plan_entry(&self, plan: &mut ReadPlan, piece: Piece, entry: &Entry) {
        let end = piece.first + piece.sectors;
        let mut at = piece.first;
        while at < end {
            let length = |same: Mask| (same >> at).trailing_ones().min(end - at);
            let (sectors, place) = match entry.source(at) {
                Source::Slot(slot, same) => {
                    let file = Arc::clone(slot.store().file().data());
                    plan.held.push(Arc::clone(slot));
                    (length(same), Place::File { file, offset: slot.offset(at) })
                }
                Source::Zeroes(same) => (length(same), Place::Zeroes),
                Source::Unreadable(same) => (length(same), Place::Unreadable),
                Source::Base(same) => {
                    let sectors = length(same);
                    self.plan_base(plan, Piece { first: at, sectors, ..piece });
                    at += sectors;
                    continue;
                }
            };
            push(&mut plan.extents, u64::from(sectors), place);
            at += sectors;
        }
    }

    fn plan_base(&self, plan: &mut ReadPlan, piece: Piece) {
        let first = self.shared.geometry.sector(piece.cluster, piece.first);
        let sectors = u64::from(piece.sectors);
        let present = self.shared.base.sectors().saturating_sub(first).min(sectors);
        if let (Some(file), 1..) = (self.shared.base.file(), present) {
            let file = Arc::clone(file.data());
            push(&mut plan.extents, present, Place::File { file, offset: first * SECTOR_BYTES });
        }
        if present < sectors {
            push(&mut plan.extents, sectors - present, Place::Zeroes);
        }
    }
}
