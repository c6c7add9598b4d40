//! Writes, discards and write-zeroes: a place first, a version on the map when they are complete.

use std::sync::Arc;

use super::geometry::{Mask, Piece};
use super::handle::Shared;
use super::map::Garbage;
use super::read::push;
use super::state::Target;
use super::{Disk, DiskError, Extent, Place, SECTOR_BYTES};

/// What a ticket does to the map when it completes.
#[derive(Debug)]
enum Effect {
    /// These places are the newest version.
    Land(Vec<Target>),
    /// These places are, where the disk was unreadable until now.
    Settle(Vec<Target>),
    /// These pieces hold zeroes.
    Clear(Vec<Piece>),
    /// The transfer went to the base itself.
    InPlace,
}

/// A change of the disk that is under way.
///
/// The disk reads as before until [`Ticket::complete`]. Dropped, it has failed. It is to be held
/// until the kernel is done with the transfer: what it names may be given to another one then.
#[derive(Debug)]
#[must_use = "dropped, the write has failed"]
pub struct Ticket {
    shared: Arc<Shared>,
    number: u64,
    extents: Vec<Extent>,
    effect: Effect,
    over: bool,
}

impl Ticket {
    /// Where the bytes are to be written, or, of a discard or write-zeroes, what is to be discarded
    /// or zeroed there. All are in files. Empty when nothing is to be transferred.
    #[must_use]
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// The whole transfer succeeded: the disk reads so from now on.
    pub fn complete(mut self) {
        self.finish(true);
    }

    /// It did not: the disk reads as before. Only of a disk that is written in place, its sectors
    /// hold the old bytes, the new ones, or some of both.
    pub fn fail(mut self) {
        self.finish(false);
    }

    /// The slots of a write to an overlay.
    pub(super) fn targets(&self) -> &[Target] {
        match &self.effect {
            Effect::Land(targets) | Effect::Settle(targets) => targets,
            Effect::Clear(_) | Effect::InPlace => &[],
        }
    }

    fn finish(&mut self, succeeded: bool) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let mut garbage = Garbage::new();
        let mut state = self.shared.state.lock();
        match &self.effect {
            Effect::Land(targets) if succeeded => {
                targets.iter().for_each(|target| state.land(target, Mask::MAX, &mut garbage));
            }
            Effect::Settle(targets) if succeeded => {
                for target in targets {
                    let only = state.unreadable(target.piece.cluster);
                    state.land(target, only, &mut garbage);
                }
            }
            Effect::Clear(pieces) if succeeded => {
                pieces.iter().for_each(|piece| state.clear(*piece, &mut garbage));
            }
            _ => {}
        }
        for target in self.targets() {
            state.release(target);
            target.slot.store().file().wrote();
        }
        if let (Effect::InPlace, Some(file)) = (&self.effect, self.shared.base.file()) {
            file.wrote();
        }
        state.end(self.number);
        drop(state);
        drop(garbage);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.finish(false);
    }
}

impl Disk {
    /// Begins to write `count` sectors from `first`.
    ///
    /// # Errors
    ///
    /// [`DiskError::Range`], [`DiskError::ReadOnly`], [`DiskError::Full`].
    pub fn begin_write(&self, first: u64, count: u64) -> Result<Ticket, DiskError> {
        self.begin_transfer(first, count, Effect::Land)
    }

    /// Begins to copy what is unreadable: it changes only what still is when it completes.
    pub(super) fn begin_settling(&self, first: u64, count: u64) -> Result<Ticket, DiskError> {
        self.begin_transfer(first, count, Effect::Settle)
    }

    /// Begins to fill `count` sectors from `first` with zeroes.
    ///
    /// # Errors
    ///
    /// [`DiskError::Range`], [`DiskError::ReadOnly`].
    pub fn begin_write_zeroes(&self, first: u64, count: u64) -> Result<Ticket, DiskError> {
        self.shared.writable()?;
        let pieces = self.shared.geometry.pieces(first, count)?.collect();
        let mut state = self.shared.state.lock();
        if state.store.is_none() {
            let number = state.begin_in_place(first, count);
            return Ok(self.in_place(number, first, count));
        }
        let number = state.begin();
        Ok(self.ticket(number, Vec::new(), Effect::Clear(pieces)))
    }

    /// Begins to discard `count` sectors from `first`. In an overlay they read as zeroes then; in
    /// place, as whatever the file gives.
    ///
    /// # Errors
    ///
    /// [`DiskError::Range`], [`DiskError::ReadOnly`].
    pub fn begin_discard(&self, first: u64, count: u64) -> Result<Ticket, DiskError> {
        self.begin_write_zeroes(first, count)
    }

    fn begin_transfer(
        &self,
        first: u64,
        count: u64,
        effect: fn(Vec<Target>) -> Effect,
    ) -> Result<Ticket, DiskError> {
        self.shared.writable()?;
        let pieces = self.shared.geometry.pieces(first, count)?;
        let mut garbage = Garbage::new();
        let mut state = self.shared.state.lock();
        let mut targets = Vec::new();
        for piece in pieces {
            match state.aim(piece) {
                Ok(Some(target)) => targets.push(target),
                Ok(None) => {
                    let number = state.begin_in_place(first, count);
                    return Ok(self.in_place(number, first, count));
                }
                Err(error) => {
                    targets.iter().for_each(|target| state.release(target));
                    return Err(error);
                }
            }
        }
        if self.shared.options.visible_at_submission {
            targets.iter().for_each(|target| state.land(target, Mask::MAX, &mut garbage));
        }
        let number = state.begin();
        drop(state);
        let mut extents = Vec::new();
        for Target { piece, slot } in &targets {
            let file = Arc::clone(slot.store().file().data());
            let place = Place::File { file, offset: slot.offset(piece.first) };
            push(&mut extents, u64::from(piece.sectors), place);
        }
        Ok(self.ticket(number, extents, effect(targets)))
    }

    fn in_place(&self, number: u64, first: u64, count: u64) -> Ticket {
        let place = self.shared.base.file().map(|file| Place::File {
            file: Arc::clone(file.data()),
            offset: first * SECTOR_BYTES,
        });
        let extents = place.map(|place| Extent { sectors: count, place }).into_iter().collect();
        self.ticket(number, extents, Effect::InPlace)
    }

    fn ticket(&self, number: u64, extents: Vec<Extent>, effect: Effect) -> Ticket {
        Ticket { shared: Arc::clone(&self.shared), number, extents, effect, over: false }
    }
}
