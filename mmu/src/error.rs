//! Why an operation on an address space did not happen.

use crate::backing::BackingError;
use crate::count::{Saturated, Tally};
use crate::gfn::Gfn;

/// Why an operation did not happen. Everything is then as it was before.
#[derive(Debug, thiserror::Error)]
pub enum SpaceError {
    /// The rules refuse it as long as the frame is pinned or otherwise held.
    #[error("{gfn} is busy: {} references, {} of them pins", .tally.refs, .tally.pins())]
    Busy {
        /// The page that stood in the way.
        gfn: Gfn,
        /// Who holds its frame.
        tally: Tally,
    },
    /// The rules want the operation to wait until pins are gone.
    #[error("{gfn} is pinned by a device, and this rule set waits for it")]
    Wait {
        /// The page that stood in the way.
        gfn: Gfn,
    },
    /// The count of a frame has no room for one more holder.
    #[error("{gfn} has too many holders already")]
    Saturated {
        /// The page.
        gfn: Gfn,
    },
    /// The host allows no more memory mappings.
    #[error(
        "{needed} more memory mappings are needed and the host has {free} left; raise the limit \
         (sysctl -w vm.max_map_count=1048576) or run fewer guests in one process"
    )]
    NoMappings {
        /// How many were asked for.
        needed: usize,
        /// How many the budget has.
        free: usize,
    },
    /// The page is not part of guest memory.
    #[error("{gfn} is outside guest memory, which has {pages:#x} frames")]
    OutOfRange {
        /// The page.
        gfn: Gfn,
        /// The size of guest memory in frames.
        pages: u32,
    },
    /// The backing leaves it to the host.
    #[error("{operation}: this backing leaves first writes to the host; use `--backing trap`")]
    LeftToHost {
        /// What was asked for.
        operation: &'static str,
    },
    /// The host failed.
    #[error(transparent)]
    Backing(#[from] BackingError),
}

impl SpaceError {
    pub(crate) fn saturated(gfn: Gfn) -> impl FnOnce(Saturated) -> Self {
        move |Saturated| Self::Saturated { gfn }
    }
}
