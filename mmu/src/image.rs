//! Images: immutable address maps, from which clones are made.

use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock, RwLockWriteGuard};

use crate::backing::Backing;
use crate::count::Holder;
use crate::error::SpaceError;
use crate::family::Family;
use crate::gfn::{Gfn, Run, join_alike};
use crate::holding::Holding;
use crate::space::{AddressSpace, CopyOut, Prefault};
use crate::table::{Entry, LayerId, Mapped, Table};
use crate::write_set::{Part, WriteSet};

#[cfg(test)]
mod tests;

/// A clone that its image learns from, or one of which something is known, and what makes that its own.
pub type Learning<B> = (Arc<AddressSpace<B>>, Option<Prefault<B>>);

/// A snapshot of a space's memory. It holds one reference on each frame that it names; for a while after its birth, the
/// image on which the space stood before does so in its stead, where the two are the same.
///
/// Its bytes never change after its birth; its map changes only when frames are evicted.
pub struct Image<B: Backing> {
    id: u64,
    family: Arc<Family<B>>,
    held: RwLock<Holding<B>>,
    /// Taken by who has it stand alone.
    leaving: Mutex<()>,
    /// Its map by runs, for who maps it: made once, where maps do not change.
    runs: OnceLock<Vec<(Run, LayerId)>>,
    /// What fills frames of it that had no bytes when it was made.
    copy_out: OnceLock<Arc<CopyOut<B>>>,
    /// What its clones write.
    written: Mutex<WriteSet>,
}

impl<B: Backing> Image<B> {
    /// An image that shares what `table` names, on `base` if there is one: see [`stand_alone`](Self::stand_alone). Its
    /// maker fills the empty entries before anybody sees it.
    pub(crate) fn sharing(
        family: &Arc<Family<B>>,
        base: Option<&Arc<Self>>,
        table: Table,
    ) -> Result<Arc<Self>, SpaceError> {
        let held = match base {
            None => Holding::acquire(family, Holder::Image, table)?,
            Some(base) => Holding::beside(Arc::clone(base), table)?,
        };
        Ok(Arc::new(Self {
            id: family.next_id(),
            family: Arc::clone(family),
            held: RwLock::new(held),
            leaving: Mutex::default(),
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

    /// Takes the references that its base has taken in its stead, and lets go of that, which takes a while for each
    /// page: some 10 ns. A frame with too many holders has it stay where it is.
    pub(crate) fn stand_alone(&self) {
        let _one_at_a_time = self.leaving.lock();
        let (base, table) = {
            let held = self.held.read();
            (held.base().cloned(), held.table.clone())
        };
        // The base keeps all of it alive meanwhile.
        if let Some(base) = base
            && Holding::take_over(&base, &table).is_ok()
        {
            self.held.write().forget_base();
        }
    }

    /// Every frame in whose count it stands.
    pub(crate) fn each_held(&self, see: impl FnMut(LayerId, Gfn)) {
        self.held.read().each_held(see);
    }

    /// The map by runs, where nothing is ever evicted.
    pub(crate) fn runs(&self) -> &[(Run, LayerId)] {
        self.runs.get_or_init(|| {
            let held = self.held.read();
            match held.base() {
                None => held.table.layers(held.table.all()),
                Some(base) => {
                    replaced(base.runs(), &held.own_parts(), |part| held.table.layers(part))
                }
            }
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

/// Runs, in whose place others stand in `parts`. Both are in order.
fn replaced(
    runs: &[(Run, LayerId)],
    parts: &[Run],
    instead: impl Fn(Run) -> Vec<(Run, LayerId)>,
) -> Vec<(Run, LayerId)> {
    let mut left = runs.iter().copied();
    let mut next = left.next();
    let mut all_before = |end: u32| {
        let mut pieces = Vec::new();
        while let Some((run, layer)) = &mut next
            && run.first.0 < end
        {
            pieces.push((run.take_first(end - run.first.0), *layer));
            if run.pages == 0 {
                next = left.next();
            }
        }
        pieces
    };
    let mut all = Vec::with_capacity(runs.len());
    let mut add = |runs: Vec<(Run, LayerId)>| {
        runs.into_iter().for_each(|(run, layer)| join_alike(&mut all, run, layer));
    };
    for &part in parts {
        add(all_before(part.first.0));
        all_before(part.numbers().end);
        add(instead(part));
    }
    add(all_before(u32::MAX));
    all
}
