//! What becomes of a write that was in flight at the cut and is not issued again.

use super::geometry::{Piece, runs};
use super::{Disk, DiskError, SECTOR_BYTES};

impl Disk {
    /// Makes unreadable sectors among `count` from `first` readable, after the write to them that
    /// was in flight at the cut was failed. Other sectors are left alone.
    ///
    /// They get what the base holds now, once and for all: the old bytes or the new ones, as after
    /// any write that failed. It reads and writes files, and returns when that is done.
    ///
    /// # Errors
    ///
    /// [`DiskError::Range`], [`DiskError::Io`], [`DiskError::Full`]: what was not copied stays
    /// unreadable.
    pub fn settle(&self, first: u64, count: u64) -> Result<(), DiskError> {
        let pieces = self.shared.geometry.pieces(first, count)?;
        let unreadable: Vec<Piece> = {
            let state = self.shared.state.lock();
            let unreadable = |piece: Piece| {
                runs(state.unreadable(piece.cluster) & piece.mask())
                    .map(move |(first, sectors)| Piece { first, sectors, ..piece })
            };
            pieces.flat_map(unreadable).collect()
        };
        unreadable.into_iter().try_for_each(|piece| self.copy_up(piece))
    }

    fn copy_up(&self, piece: Piece) -> Result<(), DiskError> {
        let first = self.shared.geometry.sector(piece.cluster, piece.first);
        let mut bytes = vec![0; piece.sectors as usize * SECTOR_BYTES as usize];
        // Unreadable sectors are in the base: nothing else is written in place.
        if let Some(base) = self.shared.base.file() {
            base.read(&mut bytes, first * SECTOR_BYTES)?;
        }
        let ticket = self.begin_settling(first, u64::from(piece.sectors))?;
        for target in ticket.targets() {
            target.slot.store().file().write(&bytes, target.slot.offset(target.piece.first))?;
        }
        ticket.complete();
        Ok(())
    }
}
