//! The pure model: scripts on the rule core over the fake backing, in one page of memory.

use std::sync::Arc;

use super::{Lab, Page, Reach, Stamp};
use crate::error::SpaceError;
use crate::fake::Fake;
use crate::family::Family;
use crate::gfn::Gfn;
use crate::layer::Layer;
use crate::rules::Rules;
use crate::space::AddressSpace;
use crate::table::LayerId;

const SECTOR_A: usize = 0;
const SECTOR_B: usize = 1;

/// The place where scripts meet the rules and nothing else.
pub type Model = Lab<Fake>;

impl Model {
    /// A fresh model under `rules`: guests of a single page.
    #[must_use]
    pub fn of(rules: Rules) -> Self {
        Self::over(Fake::new(1, usize::MAX / 2), rules)
    }

    /// The same over a host that answers first writes itself, as under `hostcow`: with a copy each time,
    /// since the image that a page is shared through holds it, too. For rules that
    /// [let it](Rules::let_host_copy).
    #[must_use]
    pub fn where_host_copies(rules: Rules) -> Self {
        Self::over(Fake::new(1, usize::MAX / 2).copying(), rules)
    }

    fn over(fake: Fake, rules: Rules) -> Self {
        Lab::new(Family::new(Arc::new(fake), rules, 1), Gfn(0))
    }

    /// What a frame of the page holds, or held when it was evicted.
    pub(super) fn content(&self, layer: LayerId) -> Page {
        let (family, gfn) = (self.family(), self.gfn());
        let mut swap = family.swap.lock();
        let place = swap.of_frame(layer, gfn).and_then(|id| swap.slot(id).place);
        let [a, b] = match place {
            Some(place) => family.backing().swapped(place),
            None => family.backing().device_read(family.layer(layer).store(), gfn),
        };
        Page { a: Stamp(a), b: Stamp(b) }
    }
}

/// Does an access, and answers its faults until it goes through.
fn with_faults<T>(
    space: &AddressSpace<Fake>,
    gfn: Gfn,
    write: bool,
    access: impl Fn() -> Result<T, crate::fake::Trapped>,
) -> Result<T, SpaceError> {
    loop {
        match access() {
            Ok(seen) => return Ok(seen),
            Err(crate::fake::Trapped) => space.fault(gfn, write)?,
        }
    }
}

impl Reach for Fake {
    fn cpu_write(
        &self,
        space: &Arc<AddressSpace<Self>>,
        gfn: Gfn,
        stamp: Stamp,
    ) -> Result<(), SpaceError> {
        with_faults(space, gfn, true, || self.cpu_write(space.window(), gfn, SECTOR_B, stamp.0))
    }

    fn cpu_read(&self, space: &Arc<AddressSpace<Self>>, gfn: Gfn) -> Result<Page, SpaceError> {
        let [a, b] = with_faults(space, gfn, false, || self.cpu_read(space.window(), gfn))?;
        Ok(Page { a: Stamp(a), b: Stamp(b) })
    }

    fn device_write(&self, layer: &Layer<Self>, gfn: Gfn, stamp: Stamp) {
        self.device_write(layer.store(), gfn, SECTOR_A, stamp.0);
    }

    fn device_read(&self, layer: &Layer<Self>, gfn: Gfn) -> Page {
        let [a, b] = self.device_read(layer.store(), gfn);
        Page { a: Stamp(a), b: Stamp(b) }
    }

    fn introduce(&self, _: &Arc<AddressSpace<Self>>) {}
}
