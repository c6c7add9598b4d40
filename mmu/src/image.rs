//! Images: immutable address maps, from which clones are made.

use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock, RwLockWriteGuard};

use crate::backing::Backing;
use crate::count::Holder;
use crate::error::SpaceError;
use crate::family::Family;
use crate::gfn::Run;
use crate::holding::Holding;
use crate::space::{AddressSpace, CopyOut, Prefault};
use crate::table::{Entry, LayerId, Mapped, Table};
use crate::write_set::{Part, WriteSet};

#[cfg(test)]
mod tests;

/// A clone that its image learns from, or one of which something is known, and what makes that its own.
pub type Learning<B> = (Arc<AddressSpace<B>>, Option<Prefault<B>>);

/// A snapshot of a space's memory. It holds one reference on each frame that it names.
///
/// Its bytes never change after its birth; its map changes only when frames are evicted.
pub struct Image<B: Backing> {
    id: u64,
    family: Arc<Family<B>>,
    held: RwLock<Holding<B>>,
    /// Its map by runs, for who maps it: made once, where maps do not change.
    runs: OnceLock<Vec<(Run, LayerId)>>,
    /// What fills frames of it that had no bytes when it was made.
    copy_out: OnceLock<Arc<CopyOut<B>>>,
    /// What its clones write.
    written: Mutex<WriteSet>,
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
            runs: OnceLock::new(),
            copy_out: OnceLock::new(),
            written: Mutex::default(),
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

    /// Enters frames, whose references the caller took, where the map was empty.
    pub(crate) fn fill(&self, run: Run, layer: LayerId) {
        let entry = Entry::Mapped(Mapped { layer, writable: false, private: false });
        self.held.write().table.set_run(run, entry);
    }

    /// The map by runs, where nothing is ever evicted.
    pub(crate) fn runs(&self) -> &[(Run, LayerId)] {
        self.runs.get_or_init(|| {
            let table = self.map();
            table.runs(table.all(), |_, entry| match entry {
                Entry::Mapped(mapped) => Some(mapped.layer),
                Entry::Empty | Entry::Swapped { .. } => None,
            })
        })
    }

    /// What fills frames of it, or did.
    pub(crate) fn copy_out(&self) -> Option<&Arc<CopyOut<B>>> {
        self.copy_out.get()
    }

    /// Names what fills frames of it. For its maker.
    pub(crate) fn filled_by(&self, copy_out: &Arc<CopyOut<B>>) {
        let _first = self.copy_out.set(Arc::clone(copy_out));
    }

    /// For an eviction, which changes the maps of all who share a frame.
    pub(crate) fn lock(&self) -> RwLockWriteGuard<'_, Holding<B>> {
        self.held.write()
    }

    /// A clone wrote these pages: neighbours, in order.
    pub(crate) fn learn(&self, written: impl IntoIterator<Item = Run>) {
        self.written.lock().learn(written);
    }

    /// A clone, and what makes pages its own that clones of this image write, as far as that is known. The
    /// image learns it from some of these clones, when they end or are forked, where the host copies pages. A clone has
    /// at most [`MOST_PREFAULTED_PAGES`](crate::MOST_PREFAULTED_PAGES) prefaulted.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn spawn_learning(self: &Arc<Self>) -> Result<Learning<B>, SpaceError> {
        let clone = self.spawn()?;
        if self.family.backing().host_cow().is_none() {
            return Ok((clone, None));
        }
        let part = self.written.lock().next_part();
        let prefault = match part {
            Part::Teacher => {
                clone.make_teacher(self.id);
                None
            }
            Part::Pupil(likely) if likely.is_empty() => None,
            Part::Pupil(likely) => Some(Prefault::new(&clone, self.id, &likely)),
        };
        Ok((clone, prefault))
    }

    /// A clone: a new space that shares all frames of the image.
    ///
    /// # Errors
    /// As [`AddressSpace::fork`]. The image is as before then.
    pub fn spawn(self: &Arc<Self>) -> Result<Arc<AddressSpace<B>>, SpaceError> {
        let _cut = self.family.cut.read();
        let clone = match self.family.backing().host_cow() {
            Some(cow) => AddressSpace::upon(self, cow)?,
            None => {
                let clone = AddressSpace::sharing(&self.family, self.map())?;
                clone.show_all()?;
                clone
            }
        };
        self.family.enrol_space(&clone);
        Ok(clone)
    }
}
