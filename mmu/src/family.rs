//! A family: a root guest, its descendants and its images, which may share frames.

use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use crate::alias::{Aliases, WeakAliases};
use crate::backing::{Backing, BackingError};
use crate::count::{Holder, Tally};
use crate::gfn::{Gfn, Run};
use crate::image::Image;
use crate::layer::Layer;
use crate::rules::Rules;
use crate::space::AddressSpace;
#[cfg(test)]
use crate::space::CopyOut;
use crate::stats::{Counters, Counts};
use crate::swap::Swap;
use crate::table::LayerId;

mod pool;

pub(crate) use pool::Pool;

/// Somebody who may map or name frames.
pub(crate) enum Member<B: Backing> {
    Space(Arc<AddressSpace<B>>),
    Image(Arc<Image<B>>),
}

enum WeakMember<B: Backing> {
    Space(Weak<AddressSpace<B>>),
    Image(Weak<Image<B>>),
}

impl<B: Backing> WeakMember<B> {
    fn upgrade(&self) -> Option<Member<B>> {
        match self {
            Self::Space(space) => space.upgrade().map(Member::Space),
            Self::Image(image) => image.upgrade().map(Member::Image),
        }
    }
}

/// What all guests of one family share: the layers, the swap, the rules.
///
/// # Lock order
/// From the outside in; a thread that holds one may only take those further in.
/// ```text
/// a prefault       what is copied for one clone beforehand: its thread, and who stops it
/// cut              forks and snapshots read, an eviction (which needs all sharers) writes
/// └─ a space       ascending by id where several are taken; the fault thread takes one
///    ├─ a copy-out what a fork left to copy; who answers faults for it takes no space
///    └─ an image   its map changes only when its frames are evicted; who has it stand alone comes before that, its
///       │          base after it
///       ├─ what its clones have written
///       ├─ members
///       └─ swap
///          └─ pool the list of layers; claims and counts below it are atomics
/// ```
/// Who holds a prefault takes a space only. Nobody who holds any of them touches a window: the fault that this may raise needs a space.
pub struct Family<B: Backing> {
    me: Weak<Self>,
    backing: Arc<B>,
    rules: Rules,
    pages: u32,
    pub(crate) cut: RwLock<()>,
    members: Mutex<Vec<WeakMember<B>>>,
    next_id: AtomicU64,
    pub(crate) swap: Mutex<Swap>,
    pool: RwLock<Pool<B>>,
    pub(crate) counters: Counters,
    /// References that the rules do not know as pins. Raised before one is taken, lowered after it
    /// is let go.
    pub(crate) transients: AtomicUsize,
}

impl<B: Backing> Family<B> {
    /// A family without members, whose guests have `pages` frames and follow `rules`.
    #[must_use]
    pub fn new(backing: Arc<B>, rules: Rules, pages: u32) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            backing,
            rules,
            pages,
            cut: RwLock::new(()),
            members: Mutex::new(Vec::new()),
            next_id: AtomicU64::new(0),
            swap: Mutex::new(Swap::default()),
            pool: RwLock::new(Pool::default()),
            counters: Counters::default(),
            transients: AtomicUsize::new(0),
        })
    }

    /// The host mechanisms below.
    #[must_use]
    pub fn backing(&self) -> &Arc<B> {
        &self.backing
    }

    /// What decides.
    #[must_use]
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// Frames per guest.
    #[must_use]
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What happened so far, with what the host copied for the guests that live.
    #[must_use]
    pub fn counts(&self) -> Counts {
        if self.backing.host_cow().is_some() {
            for member in self.members() {
                if let Member::Space(space) = member {
                    space.learn_all();
                }
            }
        }
        self.counters.now()
    }

    /// How many layers there are.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.pool.read().iter().count()
    }

    /// Who holds a frame now. A layer that is gone holds nothing.
    #[must_use]
    pub fn tally(&self, layer: LayerId, gfn: Gfn) -> Tally {
        self.pool.read().get(layer).map_or_else(Tally::default, |layer| layer.tally(gfn))
    }

    /// Every layer with what `look` sees of its store, such as the memory that it takes.
    pub fn each_store<T>(&self, look: impl Fn(&B::Store) -> T) -> Vec<T> {
        self.pool.read().iter().map(|layer| look(layer.store())).collect()
    }

    /// How many frames are held by more than one holder, and how many by one. Where the host copies
    /// pages, an image's frames are held by it and by all who stand on it: they count as shared.
    #[must_use]
    pub fn frames(&self) -> (u64, u64) {
        let mut own = None;
        if self.backing.host_cow().is_some() {
            let of_spaces = self.members().into_iter().map(|member| match member {
                Member::Space(space) => space.own_frames(),
                Member::Image(_) => 0,
            });
            own = Some(of_spaces.sum::<u64>());
        }
        let pool = self.pool.read();
        let tallies = |layer: &Arc<Layer<B>>| {
            let layer = Arc::clone(layer);
            (0..self.pages).map(move |number| layer.tally(Gfn(number)).refs)
        };
        let held = pool.iter().flat_map(tallies).filter(|refs| *refs > 0);
        let (all, of_one) =
            held.fold((0_u64, 0), |(all, of_one), refs| (all + 1, of_one + u64::from(refs == 1)));
        let private = own.unwrap_or(of_one);
        // Guests go on between the two looks.
        (all.saturating_sub(private), private)
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn pool(&self) -> RwLockReadGuard<'_, Pool<B>> {
        self.pool.read()
    }

    /// A layer of the family that an entry names, and that therefore exists.
    ///
    /// # Panics
    /// When the layer is gone although something still names it: a broken count.
    pub(crate) fn layer(&self, id: LayerId) -> Arc<Layer<B>> {
        Arc::clone(self.pool.read().layer(id))
    }

    /// A layer, if it is still there.
    pub(crate) fn find_layer(&self, id: LayerId) -> Option<Arc<Layer<B>>> {
        self.pool.read().get(id).map(Arc::clone)
    }

    /// All layers.
    pub(crate) fn all_layers(&self) -> Vec<Arc<Layer<B>>> {
        self.pool.read().iter().map(Arc::clone).collect()
    }

    /// The aliases of a layer that an entry names, for pins.
    pub(crate) fn aliases(&self, id: LayerId) -> WeakAliases<B> {
        let make = |layer: &Arc<Layer<B>>| Aliases::new(layer, &self.me, self.rules);
        self.pool.read().aliases(id, make).downgrade()
    }

    /// A layer for the sole use of a space, all of whose slots in the runs `needed` are free: one
    /// that nobody uses any more if there is one, else a new one.
    pub(crate) fn take_layer(&self, needed: &[Run]) -> Result<Arc<Layer<B>>, BackingError> {
        if let Some(layer) = self.pool.write().take_free(needed) {
            return Ok(layer);
        }
        let store = self.backing.new_store()?;
        Ok(self.add(false, store))
    }

    /// The layer of what the host copies in a window, for the space that has the window.
    pub(crate) fn layer_of_window(&self, frames: B::Store) -> Arc<Layer<B>> {
        self.add(true, frames)
    }

    fn add(&self, of_window: bool, store: B::Store) -> Arc<Layer<B>> {
        let make = |id| Layer::new(id, Arc::clone(&self.backing), store, self.pages);
        self.pool.write().add(of_window, make)
    }

    /// A layer for the sole use of a space that nobody uses any more, and in which at least half of
    /// `blocks` find all their slots free. So a long chain of forks, each of which leaves some
    /// frames behind, does not take a new layer each time.
    pub(crate) fn take_used_layer(&self, blocks: &[&[Run]]) -> Option<Arc<Layer<B>>> {
        self.pool.write().take_fitting(blocks)
    }

    /// Gives layers back for others to use; those without live frames are removed.
    pub(crate) fn give_back(&self, layers: impl IntoIterator<Item = Arc<Layer<B>>>) {
        let removed = self.pool.write().give_back(layers.into_iter().map(|layer| layer.id()));
        drop(removed);
    }

    /// Removes a holder from each frame of a run. With its last frame a layer that no space owns
    /// goes, too.
    pub(crate) fn let_go(&self, layer: &Layer<B>, run: Run, holder: Holder) {
        if layer.let_go(run, holder) {
            self.give_back([]);
        }
    }

    /// A slot at `gfn` for a copy that belongs to no space, in any layer that nobody owns.
    pub(crate) fn claim_anywhere(
        &self,
        gfn: Gfn,
        holder: Holder,
    ) -> Result<Arc<Layer<B>>, BackingError> {
        let found = self.pool.read().claim_unowned(gfn, holder);
        match found {
            Some(layer) => Ok(layer),
            None => {
                let layer = self.take_layer(&[Run::one(gfn)])?;
                layer.take(gfn, holder);
                self.give_back([Arc::clone(&layer)]);
                Ok(layer)
            }
        }
    }

    /// The layer in which the bytes of a frame are: another one, while they are to be copied out.
    #[cfg(test)]
    pub(crate) fn layer_with_bytes(&self, layer: &Arc<Layer<B>>, gfn: Gfn) -> Arc<Layer<B>> {
        let copy_outs = self.members().into_iter().filter_map(|member| match member {
            Member::Space(space) => space.copy_out(),
            Member::Image(image) => image.copy_out().cloned(),
        });
        let stand_in = |copy_out: Arc<CopyOut<B>>| copy_out.stands_in_for(layer.id(), gfn);
        copy_outs.into_iter().find_map(stand_in).unwrap_or_else(|| Arc::clone(layer))
    }

    pub(crate) fn enrol_space(&self, space: &Arc<AddressSpace<B>>) {
        self.enrol(WeakMember::Space(Arc::downgrade(space)));
    }

    pub(crate) fn enrol_image(&self, image: &Arc<Image<B>>) {
        self.enrol(WeakMember::Image(Arc::downgrade(image)));
    }

    fn enrol(&self, member: WeakMember<B>) {
        let mut members = self.members.lock();
        if members.len() == members.capacity() {
            members.retain(|member| match member {
                WeakMember::Space(space) => space.strong_count() > 0,
                WeakMember::Image(image) => image.strong_count() > 0,
            });
        }
        members.push(member);
    }

    /// The living members, in the order in which they were born.
    pub(crate) fn members(&self) -> Vec<Member<B>> {
        let mut living: Vec<_> =
            self.members.lock().iter().filter_map(WeakMember::upgrade).collect();
        living.sort_by_key(|member| match member {
            Member::Space(space) => space.id(),
            Member::Image(image) => image.id(),
        });
        living
    }
}
