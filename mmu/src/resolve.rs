//! Accesses that wait in a page fault, and who answers them.

use crate::gfn::Gfn;

/// What kind of access waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FaultKind {
    /// The access is a write.
    pub write: bool,
    /// The store has no page there: the frame is evicted, or it is a hole in a range that was
    /// absent once (see [`host`](crate::host)). Otherwise: a write to a protected page.
    pub absent: bool,
}

/// What became of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resolved {
    /// The access can go on. The fault thread wakes who waits for the page.
    Done,
    /// The rules say wait. The fault is kept, and asked about again after
    /// [`HostMemory::retry_deferred`](crate::host::HostMemory::retry_deferred).
    Later,
}

/// Resolves the faults of one window. An address space implements it.
pub trait Resolve: Send + Sync {
    /// Makes the access possible, or defers it.
    ///
    /// It never fails and never panics, since a guest would wait for ever. A fault may come twice,
    /// or after somebody else has resolved it: then what the rules hold is shown again, with
    /// `unprotect` for a frame that is writable and `make_present` for one that is not evicted,
    /// so that the access does not fault again.
    fn resolve(&self, gfn: Gfn, kind: FaultKind) -> Resolved;
}
