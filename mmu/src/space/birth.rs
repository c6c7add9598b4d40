//! How a space comes to be: as the root of a family, or with a map that it shares.

use std::sync::Arc;

use super::gate::Gate;
use super::host_copies::Cow;
use super::mappings::Mappings;
use super::reserve::{Owned, Reserve};
use super::{AddressSpace, MAP, State};
use crate::backing::{Access, Backing};
use crate::error::SpaceError;
use crate::family::Family;
use crate::gfn::Run;
use crate::holding::Holding;
use crate::image::Image;
use crate::table::{Entry, Mapped, Table};

impl<B: Backing> AddressSpace<B> {
    /// The first space of a family: its own frames in one layer, all writable, all zeros.
    ///
    /// # Errors
    /// When the host fails or has no mappings left.
    pub fn root(family: &Arc<Family<B>>) -> Result<Arc<Self>, SpaceError> {
        let owned = Owned::take(family, &[Run::new(0, family.pages())])?;
        let own = Entry::Mapped(Mapped::own(owned.layer.id()));
        let table = Table::filled(family.pages(), own);
        let mappings = Mappings::reserve(family.backing(), &table)?;
        owned.layer.take_run(table.all(), MAP);
        let reserve = Reserve::of_one(owned, family.pages(), mappings.block_pages);
        let held = Holding::adopt(Arc::clone(family), MAP, table);
        let state = State::new(held, reserve, mappings);
        let space = Self::assemble(Arc::new(family.backing().new_window()?), state);
        space.show_all()?;
        family.enrol_space(&space);
        Ok(space)
    }

    /// A space that shares all of an image, with the host's copy-on-write below it: what the image
    /// holds is held for the space, too, and only runs are counted.
    pub(crate) fn upon(image: &Arc<Image<B>>, cow: &Cow<'_, B>) -> Result<Arc<Self>, SpaceError> {
        let (family, runs) = (image.family(), image.runs());
        let (backing, pages) = (family.backing(), family.pages());
        let mappings = Mappings::of_runs(backing, runs.len())?;
        let window = Arc::new(backing.new_window()?);
        for &(run, layer) in runs {
            backing.map(&window, family.layer(layer).store(), run, Access::Protected)?;
        }
        let copy_out = image.copy_out().cloned();
        if let Some(copy_out) = &copy_out {
            copy_out.admit(&window, runs)?;
        }
        let own = Owned::of(family, family.layer_of_window(cow.own_frames(&window)));
        let reserve = Reserve::of_one(own, pages, mappings.block_pages);
        let held = Holding::upon(image, MAP);
        let state = State { copy_out, ..State::new(held, reserve, mappings) };
        Ok(Self::assemble(window, state))
    }

    /// A space that shares what `table` names, except for the empty entries, which the caller fills
    /// before anybody sees the space. Nothing is shown in its window yet.
    pub(crate) fn sharing(family: &Arc<Family<B>>, table: Table) -> Result<Arc<Self>, SpaceError> {
        let mappings = Mappings::reserve(family.backing(), &table)?;
        let reserve = Reserve::plan(family, &[], &table, mappings.block_pages)?;
        let held = Holding::acquire(family, MAP, table)?;
        let state = State::new(held, reserve, mappings);
        Ok(Self::assemble(Arc::new(family.backing().new_window()?), state))
    }

    fn assemble(window: Arc<B::Window>, state: State<B>) -> Arc<Self> {
        let family = Arc::clone(state.held.family());
        Arc::new(Self { id: family.next_id(), window, state: Gate::new(state), family })
    }

    /// Shows the whole table in the window.
    pub(crate) fn show_all(&self) -> Result<(), SpaceError> {
        let state = self.state.read();
        self.show(&state.held.table, state.held.table.all())
    }
}
