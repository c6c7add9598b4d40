//! How a space comes to be: as the root of a family, or with a map that it shares.

use std::sync::Arc;

use super::gate::Gate;
use super::known::Known;
use super::mappings::Mappings;
use super::reserve::{Owned, Reserve};
use super::{AddressSpace, MAP, State};
use crate::backing::Backing;
use crate::error::SpaceError;
use crate::family::Family;
use crate::gfn::Run;
use crate::holding::Holding;
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
        for gfn in table.all().gfns() {
            owned.layer.take(gfn, MAP);
        }
        let reserve = Reserve::of_root(owned, family.pages(), mappings.block_pages);
        let held = Holding::adopt(Arc::clone(family), MAP, table);
        let space = Self::assemble(State { held, reserve, mappings, known: Known::default() })?;
        space.show_all()?;
        family.enrol_space(&space);
        Ok(space)
    }

    /// A space that shares what `table` names, except for the empty entries, which the caller fills
    /// before anybody sees the space. Nothing is shown in its window yet.
    pub(crate) fn sharing(family: &Arc<Family<B>>, table: Table) -> Result<Arc<Self>, SpaceError> {
        let mappings = Mappings::reserve(family.backing(), &table)?;
        let reserve = Reserve::plan(family, &[], &table, mappings.block_pages)?;
        let held = Holding::acquire(family, MAP, table)?;
        Self::assemble(State { held, reserve, mappings, known: Known::default() })
    }

    fn assemble(state: State<B>) -> Result<Arc<Self>, SpaceError> {
        let family = Arc::clone(state.held.family());
        Ok(Arc::new(Self {
            id: family.next_id(),
            window: family.backing().new_window()?,
            state: Gate::new(state),
            family,
        }))
    }

    /// Shows the whole table in the window.
    pub(crate) fn show_all(&self) -> Result<(), SpaceError> {
        let state = self.state.read();
        self.show(&state.held.table, state.held.table.all())
    }
}
