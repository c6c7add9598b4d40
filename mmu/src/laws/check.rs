//! All laws, checked between two actions.

use super::oracle::Ideal;
use super::world::{Guest, Snapshot};
use super::{Bench, Broken, Law, World};
use crate::gfn::Gfn;
use crate::rules::Direction;
use crate::scenario::Reach;
use crate::space::Hold;
use crate::table::{Entry, Table};

impl<T: Bench> World<T> {
    /// All laws, as far as they can be seen without touching a window.
    pub(crate) fn check(&self) -> Result<(), Broken> {
        let pins = self.pins.iter().map(|taken| taken.pin.frame());
        let holds = self.holds.iter().map(Hold::frame);
        let others = pins.chain(holds).map(|(layer, gfn)| (layer.id(), gfn));
        let audit = self.family.audit(others);
        audit.map_err(|miscount| Law::Conservation.broken(miscount.to_string()))?;
        self.check_pins()?;
        for Guest { space, ideal } in &self.guests {
            self.bench.window(space).map_err(|how| Law::Books.broken(how))?;
            space.check_mappings().map_err(|how| Law::Books.broken(how))?;
            self.check_bytes(&space.map(), ideal, "a guest")?;
        }
        for Snapshot { image, ideal } in &self.images {
            self.check_bytes(&image.map(), ideal, "an image")?;
        }
        Ok(())
    }

    fn check_pins(&self) -> Result<(), Broken> {
        for taken in &self.pins {
            let owner = self.guests.iter().find(|guest| guest.space.id() == taken.owner);
            let (layer, gfn) = taken.pin.frame();
            let Some(owner) = owner.filter(|_| taken.pin.direction() == Direction::FromDevice)
            else {
                continue;
            };
            let there = owner.space.map().get(gfn);
            if !matches!(there, Entry::Mapped(mapped) if mapped.layer == layer.id()) {
                let how = format!("{gfn} is pinned in layer {}, and is {there:?}", layer.id().0);
                return Err(Law::StayPut.broken(how));
            }
        }
        Ok(())
    }

    /// The bytes of every frame that a map leads to.
    fn check_bytes(&self, table: &Table, ideal: &Ideal, who: &str) -> Result<(), Broken> {
        for (gfn, entry) in table.iter() {
            if let Entry::Mapped(mapped) = entry {
                let layer = self.family.layer(mapped.layer);
                let layer = self.family.layer_with_bytes(&layer, gfn);
                ideal.judge(who, gfn, self.bench.backing().device_read(&layer, gfn))?;
            }
        }
        Ok(())
    }

    /// What every guest sees through its window, evicted pages too.
    pub(super) fn look_at_all(&mut self) -> Result<(), Broken> {
        let pages = u8::try_from(self.family.pages()).unwrap_or(u8::MAX);
        for guest in 0..u8::try_from(self.guests.len()).unwrap_or(u8::MAX) {
            for page in 0..pages {
                self.read(guest, Gfn(u32::from(page)))?;
            }
        }
        self.check()
    }
}
