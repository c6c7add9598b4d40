//! Several names for one layer, so that threads which pin and unpin at the same time do not meet in
//! one reference counter.
//!
//! A pin keeps its layer by a reference on an alias: that of the thread that took it. An alias lies in
//! cache lines of its own, and so does its counter. They are made when a layer is pinned first, and
//! go with its place in the pool, or with the last pin.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use crate::backing::Backing;
use crate::family::Family;
use crate::layer::Layer;
use crate::rules::Rules;

/// How many aliases a layer has: threads that pin at the same time are few.
const ALIASES: usize = 8;

/// What a pin holds beside the count of its frame.
#[repr(align(128))]
pub(crate) struct Alias<B: Backing> {
    pub(crate) layer: Arc<Layer<B>>,
    /// Gone when all guests and images are: pins may outlive them.
    pub(crate) family: Weak<Family<B>>,
    pub(crate) rules: Rules,
}

/// The aliases of one layer.
pub(crate) struct Aliases<B: Backing>([Arc<Alias<B>>; ALIASES]);

impl<B: Backing> Aliases<B> {
    pub(crate) fn new(layer: &Arc<Layer<B>>, family: &Weak<Family<B>>, rules: Rules) -> Self {
        let alias = |_| {
            let (layer, family) = (Arc::clone(layer), Weak::clone(family));
            Arc::new(Alias { layer, family, rules })
        };
        Self(std::array::from_fn(alias))
    }

    pub(crate) fn downgrade(&self) -> WeakAliases<B> {
        WeakAliases(self.0.each_ref().map(Arc::downgrade))
    }
}

/// The aliases of a layer that may be gone.
pub(crate) struct WeakAliases<B: Backing>([Weak<Alias<B>>; ALIASES]);

impl<B: Backing> WeakAliases<B> {
    /// This thread's, unless the layer has lost its place in the pool.
    pub(crate) fn mine(&self) -> Option<Arc<Alias<B>>> {
        self.0[this_thread()].upgrade().filter(|alias| !alias.layer.is_retired())
    }
}

/// The same number for every call of a thread, and another one for the next thread that asks.
fn this_thread() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed) % ALIASES;
    }
    NUMBER.with(|number| *number)
}
