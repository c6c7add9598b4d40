//! What a test can do to a backing besides running guests on it.

use std::sync::Arc;

use crate::backing::Access;
use crate::fake::Fake;
use crate::scenario::Reach;
use crate::space::AddressSpace;
use crate::table::{Entry, Mapped};

/// A backing under test.
pub(crate) trait Bench {
    /// The backing.
    type Backing: Reach;

    /// The one that guests run on.
    fn backing(&self) -> &Arc<Self::Backing>;

    /// Makes the `nth` call from now that may fail do so.
    fn fail_at(&self, nth: u64);

    /// Ends that. `true` when no call failed.
    fn disarm(&self) -> bool;

    /// Whether CPUs' accesses return the failures of their faults. A real CPU cannot.
    fn faults_return(&self) -> bool;

    /// What the window of a space shows, in words, and whether that is what its map says.
    fn window(&self, space: &AddressSpace<Self::Backing>) -> Result<String, String>;

    /// Whether a thread of the backing still answers a fault, and may own what the guest owned that has
    /// gone on meanwhile.
    fn is_answering(&self) -> bool {
        false
    }

    /// What is left when every guest is gone, in words: nothing.
    fn leftovers(&self) -> String;
}

/// The fake.
pub(crate) struct FakeBench(Arc<Fake>);

impl FakeBench {
    pub(crate) fn new(fake: Fake) -> Self {
        Self(Arc::new(fake))
    }
}

impl Bench for FakeBench {
    type Backing = Fake;

    fn backing(&self) -> &Arc<Fake> {
        &self.0
    }

    fn fail_at(&self, nth: u64) {
        self.0.fail_at(nth);
    }

    fn disarm(&self) -> bool {
        self.0.disarm()
    }

    fn faults_return(&self) -> bool {
        true
    }

    fn window(&self, space: &AddressSpace<Fake>) -> Result<String, String> {
        let family = space.family();
        let mut words = String::new();
        for (gfn, entry) in space.map().iter() {
            let (layer, access) = match entry {
                Entry::Mapped(Mapped { layer, writable: true, .. }) => (layer, Access::Writable),
                Entry::Mapped(Mapped { layer, .. }) => (layer, Access::Protected),
                Entry::Swapped { slot, .. } => {
                    (family.swap.lock().slot(slot).layer, Access::Absent)
                }
                Entry::Empty => return Err(format!("{gfn} is empty")),
            };
            let shown = self.0.shown(space.window(), gfn);
            if shown != Some((family.layer(layer).store().number(), access)) {
                return Err(format!("{gfn} is {entry:?}, and its window shows {shown:?}"));
            }
            words += &format!("{shown:?} ");
        }
        Ok(words)
    }

    fn leftovers(&self) -> String {
        match (self.0.objects(), self.0.reserved()) {
            ((0, 0, 0), 0) => String::new(),
            left => format!("stores, windows, places in the swap; mappings: {left:?}"),
        }
    }
}
