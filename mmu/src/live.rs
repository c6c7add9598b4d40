//! Address spaces over real memory: the rules answer the kernel's faults.

use std::sync::{Arc, Weak};

use crate::error::SpaceError;
use crate::gfn::Gfn;
use crate::host::{FaultKind, HostMemory, Resolve, Resolved};
use crate::image::Image;
use crate::space::AddressSpace;

mod footprint;

pub use footprint::Footprint;

/// A guest's memory with every first write trapped.
pub type LiveSpace = AddressSpace<HostMemory>;

/// A snapshot of such memory.
pub type LiveImage = Image<HostMemory>;

impl Resolve for LiveSpace {
    /// Slots and mappings for every fault were set aside beforehand, so that what can fail here is
    /// the host itself: no memory for a page, or a swap file that cannot be read. The page is then
    /// taken out of the window, so that the access fails (`KVM_RUN` returns EFAULT) instead of
    /// waiting for ever, and the guest alone ends.
    fn resolve(&self, gfn: Gfn, kind: FaultKind) -> Resolved {
        match self.fault(gfn, kind.write) {
            Ok(()) => Resolved::Done,
            Err(SpaceError::Wait { .. }) => Resolved::Later,
            Err(error) => {
                eprintln!("pincow: guest memory {} is lost: {error}", gfn.offset());
                self.family().backing().break_page(self.window(), gfn);
                Resolved::Done
            }
        }
    }
}

/// Lets the faults of a new space be answered. Before it nobody may touch the space's window.
pub fn attach(space: &Arc<LiveSpace>) {
    let handler: Weak<dyn Resolve> = Arc::downgrade(space) as Weak<dyn Resolve>;
    space.family().backing().attach(space.window(), handler);
}

#[cfg(test)]
mod tests;
