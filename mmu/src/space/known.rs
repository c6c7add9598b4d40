//! The layers in which a space has pinned frames lately: found without the lock of the pool.

use std::sync::Arc;

use crate::alias::{Alias, WeakAliases};
use crate::backing::Backing;
use crate::family::Family;
use crate::table::LayerId;

#[cfg(test)]
mod tests;

/// A space with its frames in more layers than this asks the pool more often.
const MOST: usize = 8;

/// Layers by number. Those that are gone are known to be, and forgotten in time.
pub(super) struct Known<B: Backing> {
    layers: Vec<(LayerId, WeakAliases<B>)>,
}

impl<B: Backing> Default for Known<B> {
    fn default() -> Self {
        Self { layers: Vec::new() }
    }
}

impl<B: Backing> Known<B> {
    /// This thread's alias of a layer that an entry names; `None` if it has to be learnt first.
    pub(super) fn find(&self, id: LayerId) -> Option<Arc<Alias<B>>> {
        self.layers.iter().find(|(known, _)| *known == id)?.1.mine()
    }

    /// The same, learnt if it was not known.
    pub(super) fn find_or_learn(&mut self, family: &Family<B>, id: LayerId) -> Arc<Alias<B>> {
        if let Some(alias) = self.find(id) {
            return alias;
        }
        self.layers.retain(|(known, aliases)| *known != id && aliases.mine().is_some());
        if self.layers.len() == MOST {
            self.layers.remove(0);
        }
        let aliases = family.aliases(id);
        let mine = aliases.mine().expect("a layer that an entry names is in the pool");
        self.layers.push((id, aliases));
        mine
    }
}
