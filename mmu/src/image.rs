//! Images: immutable address maps, from which clones are made.

use std::sync::Arc;

use parking_lot::{RwLock, RwLockWriteGuard};

use crate::backing::Backing;
use crate::count::Holder;
use crate::error::SpaceError;
use crate::family::Family;
use crate::gfn::Gfn;
use crate::holding::Holding;
use crate::space::AddressSpace;
use crate::table::{Entry, LayerId, Mapped, Table};

#[cfg(test)]
mod tests;

/// A snapshot of a space's memory. It holds one reference on each frame that it names.
///
/// Its bytes never change after its birth; its map changes only when frames are evicted.
pub struct Image<B: Backing> {
    id: u64,
    family: Arc<Family<B>>,
    held: RwLock<Holding<B>>,
}

impl<B: Backing> Image<B> {
    /// An image that shares what `table` names. Its maker fills the empty entries before anybody
    /// sees it.
    pub(crate) fn sharing(family: &Arc<Family<B>>, table: Table) -> Result<Arc<Self>, SpaceError> {
        let held = Holding::acquire(family, Holder::Image, table)?;
        Ok(Arc::new(Self {
            id: family.next_id(),
            family: Arc::clone(family),
            held: RwLock::new(held),
        }))
    }

    /// Its number in the family.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The family whose frames it names.
    #[must_use]
    pub fn family(&self) -> &Arc<Family<B>> {
        &self.family
    }

    /// A copy of the map, as it is now.
    #[must_use]
    pub fn map(&self) -> Table {
        self.held.read().table.clone()
    }

    /// Enters a frame, whose reference the caller took, where the map was empty.
    pub(crate) fn fill(&self, gfn: Gfn, layer: LayerId) {
        let entry = Entry::Mapped(Mapped { layer, writable: false, private: false });
        self.held.write().table.set(gfn, entry);
    }

    /// For an eviction, which changes the maps of all who share a frame.
    pub(crate) fn lock(&self) -> RwLockWriteGuard<'_, Holding<B>> {
        self.held.write()
    }

    /// A clone: a new space that shares all frames of the image.
    ///
    /// # Errors
    /// As [`AddressSpace::fork`]. The image is as before then.
    pub fn spawn(&self) -> Result<Arc<AddressSpace<B>>, SpaceError> {
        let _cut = self.family.cut.read();
        let table = self.map();
        let clone = AddressSpace::sharing(&self.family, table)?;
        clone.show_all()?;
        self.family.enrol_space(&clone);
        Ok(clone)
    }
}
