//! What lets a fork return before it has copied what its guest wrote.

use std::sync::Weak;

use super::BackingError;
use crate::gfn::Run;
use crate::resolve::Resolve;

/// A host that copies pages (see [`HostCow`](super::HostCow)) and can also make an access wait until
/// somebody has seen to it: a write to a page whose bytes somebody still wants, and an access to a frame
/// that has no bytes yet.
pub trait Deferring: Send + Sync {
    /// As [`Backing::Store`](super::Backing::Store).
    type Store;
    /// As [`Backing::Window`](super::Backing::Window).
    type Window;

    /// So few pages are copied sooner than made to wait.
    fn least_pages(&self) -> usize;

    /// Makes writes to `runs` wait until `answer` has released the page. Nobody writes there now. A failure
    /// leaves the window as it was.
    fn trap_writes(
        &self,
        window: &Self::Window,
        runs: &[Run],
        answer: Weak<dyn Resolve>,
    ) -> Result<(), BackingError>;

    /// Makes accesses to `runs` wait, where the store that is shown there lacks the frame, until `answer`
    /// has filled it. Nobody has touched the window yet.
    fn trap_holes(
        &self,
        window: &Self::Window,
        runs: &[Run],
        answer: Weak<dyn Resolve>,
    ) -> Result<(), BackingError>;

    /// Copies pages of a window's own frames to their places in a store, each of them whole and at once: a
    /// window may reach it meanwhile. Waits for memory for as long as it takes.
    fn fill(&self, from: &Self::Store, to: &Self::Store, run: Run);

    /// Makes frames of `run` that the store lacks zeros, which nobody asks for. Waits for memory for as long
    /// as it takes.
    fn fill_holes(&self, store: &Self::Store, run: Run);

    /// Lets writes to `run` through, and makes what is shown there the window's own: a write that was let
    /// through must not meet a frame that goes before it comes. Waits for memory for as long as it takes.
    fn release(&self, window: &Self::Window, run: Run);

    /// Ends all traps in a window. Nothing of it waits or is protected any more.
    fn end(&self, window: &Self::Window);

    /// Has `work` done by a thread of its own. When it cannot, it is dropped.
    fn in_background(&self, work: Box<dyn FnOnce() + Send>);
}
