//! What address spaces need from the machine below: one trait, so that property tests, the
//! exhaustive exploration and real guest memory run the same algorithm.
//!
//! A backing has *stores* (the frames of one layer), *windows* (where one guest's CPUs see their
//! memory) and a *swap* for evicted frames. It decides nothing: the rules were asked before any of
//! its methods is called, and the caller holds the lock of the space that owns the window.

use crate::gfn::{Gfn, Run};

mod deferring;

pub use deferring::Deferring;

/// How a window shows a run of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reads and writes go straight to the frame.
    Writable,
    /// Reads go straight to the frame. Writes trap or, where there is a [`HostCow`], get a copy.
    Protected,
    /// Every access traps: the frame's content is in the swap. What becomes present later is
    /// protected.
    Absent,
}

/// A host mechanism failed: what was tried, where, and what the host said.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed at {place}: {source}")]
pub struct BackingError {
    /// What was tried, with the name of the system call.
    pub operation: &'static str,
    /// Which frames or object.
    pub place: String,
    /// What the kernel said.
    pub source: std::io::Error,
}

impl BackingError {
    /// The error of the last system call.
    #[must_use]
    pub fn last_os(operation: &'static str, place: impl ToString) -> Self {
        Self { operation, place: place.to_string(), source: std::io::Error::last_os_error() }
    }
}

/// A place in the swap that holds one evicted frame's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SwapPlace(pub u32);

/// Host mechanisms under the address spaces. See the module's docs for the division of labour.
///
/// Methods that return `Result` may fail and then have changed nothing that a guest can see.
/// Methods that do not are those that commits, rollbacks and drops use.
pub trait Backing: Send + Sync + 'static {
    /// The frames of one layer, as many as the guest has, each born as zeros.
    type Store: Send + Sync;
    /// Where one guest's CPUs see their memory. Born empty: nothing may touch it before `map`.
    type Window: Send + Sync;

    /// Makes the frames of a new layer. They cost memory only once they are written.
    fn new_store(&self) -> Result<Self::Store, BackingError>;

    /// Makes an empty window.
    fn new_window(&self) -> Result<Self::Window, BackingError>;

    /// Copies the frames of `run` from one store to the same place in another.
    ///
    /// No window reaches the destination, and nobody else writes it.
    fn copy(&self, from: &Self::Store, to: &Self::Store, run: Run) -> Result<(), BackingError>;

    /// Forgets the content of `run` and gives its memory back to the host. The frames read as
    /// zeros afterwards. Also how a discard clears a frame that a window still shows.
    fn punch(&self, store: &Self::Store, run: Run);

    /// Shows `run` of `store` in the window, in place of what was there. Does not wake anybody.
    fn map(
        &self,
        window: &Self::Window,
        store: &Self::Store,
        run: Run,
        access: Access,
    ) -> Result<(), BackingError>;

    /// Makes `run`, all of which is mapped and present, trap on writes. Pages that do so already
    /// may be among it.
    fn protect(&self, window: &Self::Window, run: Run) -> Result<(), BackingError>;

    /// Lifts the protection of `run`. Need not wake anybody: each access that waits has a fault of its
    /// own, and is woken when that is answered.
    fn unprotect(&self, window: &Self::Window, run: Run);

    /// Makes `run` trap on every access, and on writes once it is present again.
    fn make_absent(&self, window: &Self::Window, run: Run) -> Result<(), BackingError>;

    /// Ends `make_absent`: `run`, whose frames have their content again, is shown protected.
    fn make_present(&self, window: &Self::Window, run: Run);

    /// Wakes whoever waits in a fault on `run`, to try the access again.
    fn wake(&self, window: &Self::Window, run: Run);

    /// Shows nothing in the window any more. Its guest is gone, so nobody may touch it again.
    fn unmap_all(&self, window: &Self::Window);

    /// Writes the bytes of a frame to the swap.
    fn write_out(&self, store: &Self::Store, gfn: Gfn) -> Result<SwapPlace, BackingError>;

    /// Reads a frame back from the swap, at once and whole, so that nobody sees half of it.
    fn read_in(&self, place: SwapPlace, store: &Self::Store, gfn: Gfn) -> Result<(), BackingError>;

    /// Gives a place in the swap back.
    fn forget(&self, place: SwapPlace);

    /// Takes `mappings` from the budget of host mappings; `false` when it runs short.
    fn reserve_mappings(&self, mappings: usize) -> bool;

    /// Gives `mappings` back to the budget.
    fn return_mappings(&self, mappings: usize);

    /// How many host mappings the budget still has.
    fn free_mappings(&self) -> usize;

    /// A pin was let go: accesses that waited for pins may be tried again. Called where the rules let
    /// writers wait.
    fn pins_changed(&self) {}

    /// The host's own copy-on-write, where the backing leaves first writes to it.
    fn host_cow(&self) -> Option<&dyn HostCow<Store = Self::Store, Window = Self::Window>> {
        None
    }
}

/// A host that copies a page which a window shows protected at its first write, and asks nobody.
///
/// The copy stays in the window's own memory until something else is mapped there. All such copies of
/// a window are a store like others, whose frames are reached where the window shows them. Neither
/// [`Backing::protect`] nor what makes pages absent is asked of such a backing.
pub trait HostCow: Send + Sync {
    /// As [`Backing::Store`].
    type Store;
    /// As [`Backing::Window`].
    type Window;

    /// The store of the copies that the host makes in a window. Its addresses are good for as long as
    /// it lives, even when the window is gone.
    fn own_frames(&self, window: &Self::Window) -> Self::Store;

    /// The pages of `run` that the host has copied, as neighbours, in order.
    fn copied(&self, window: &Self::Window, run: Run) -> Vec<Run>;

    /// Has the host copy the pages of `run` that it has not copied yet, as a write would.
    fn copy_now(&self, window: &Self::Window, run: Run) -> Result<(), BackingError>;

    /// The same for many runs, in a thread of the host beside the window's CPUs, which keeps no other thread of
    /// the host from mapping anything. Some may be copied when it fails.
    fn copy_ahead(&self, window: &Self::Window, runs: &[Run]) -> Result<(), BackingError> {
        runs.iter().try_for_each(|run| self.copy_now(window, *run))
    }

    /// Puts zeros of the window's own in place of what `run` shows.
    fn clear(&self, window: &Self::Window, run: Run) -> Result<(), BackingError>;

    /// Shows a run of `store`, protected, in place of pages with the same bytes: what the host copied
    /// there goes. For commits: the host's mappings were reserved, and it has to find the memory.
    fn replace(&self, window: &Self::Window, store: &Self::Store, run: Run);

    /// Asks the host to write a page of its own or of a store to its swap, if it has any.
    fn page_out(&self, window: &Self::Window, run: Run);

    /// Shows nothing in `run` any more, in a window whose guest is gone.
    fn unmap(&self, window: &Self::Window, run: Run);

    /// What a fork needs to return before it has copied all that its guest wrote, where the host has it.
    fn deferring(&self) -> Option<&dyn Deferring<Store = Self::Store, Window = Self::Window>> {
        None
    }
}
