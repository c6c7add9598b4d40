//! The first law, checked: every count is the number of its holders.

use std::collections::HashMap;

use crate::backing::Backing;
use crate::family::{Family, Member};
use crate::gfn::Gfn;
use crate::table::LayerId;

/// A frame whose count is not the number of its holders.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{gfn} in layer {}: counted {counted} references, found {found}", .layer.0)]
pub struct Miscount {
    /// The layer.
    pub layer: LayerId,
    /// The place in it.
    pub gfn: Gfn,
    /// What the count says.
    pub counted: u32,
    /// How many holders there are.
    pub found: u32,
}

type Holders = HashMap<(LayerId, Gfn), u32>;

impl<B: Backing> Family<B> {
    /// Walks all holders and compares with the counts: the law of *conservation*.
    ///
    /// `others` are the frames of the pins and transient references that live, which nobody but
    /// their owners knows. The family must be at rest.
    ///
    /// # Errors
    /// The first frame that does not add up.
    pub fn audit(&self, others: impl IntoIterator<Item = (LayerId, Gfn)>) -> Result<(), Miscount> {
        let _cut = self.cut.write();
        let mut holders = Holders::new();
        // They live until all is counted.
        let members = self.members();
        for member in &members {
            if let Member::Image(image) = member {
                image.stand_alone();
            }
        }
        for member in &members {
            let count = |layer, gfn| *holders.entry((layer, gfn)).or_default() += 1;
            match member {
                Member::Space(space) => space.each_held(count),
                Member::Image(image) => image.each_held(count),
            }
        }
        for slot in self.swap.lock().iter() {
            *holders.entry((slot.layer, slot.gfn)).or_default() += 1;
        }
        for frame in others {
            *holders.entry(frame).or_default() += 1;
        }
        for layer in self.pool().iter() {
            for gfn in (0..self.pages()).map(Gfn) {
                let layer_id = layer.id();
                let found = holders.remove(&(layer_id, gfn)).unwrap_or(0);
                let counted = layer.tally(gfn).refs;
                if counted != found {
                    return Err(Miscount { layer: layer_id, gfn, counted, found });
                }
            }
        }
        match holders.into_iter().next() {
            None => Ok(()),
            Some(((layer, gfn), found)) => Err(Miscount { layer, gfn, counted: 0, found }),
        }
    }
}
