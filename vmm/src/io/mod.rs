//! The transfer engine: bytes between files and memory, without waiting for them.
//!
//! A [`Transfer`] names a file, a range, and [`Buffers`]: where the bytes are in this process,
//! together with whatever keeps them there (a device's pins). The engine keeps the buffers until
//! the completion is *read*, by [`Engine::completed`], and gives them back then. So pins end when
//! their owner has seen the result, never earlier and not by itself.
//!
//! [`Uring`] is the engine of a machine. [`Held`] wraps any engine and misbehaves on request: it
//! holds completions, delays them, fails them, or shortens transfers.
//!
//! Nothing in here knows guests, queues or disks.

use std::io;
use std::os::fd::RawFd;

mod buffers;
mod held;
#[cfg(test)]
pub(crate) mod test_memory;
mod transfer;
mod uring;
mod wait;

pub use buffers::{Buffers, Region};
pub use held::{Held, HeldControl};
pub use transfer::{Completion, Kind, Refused, Transfer};
pub use uring::{MOST_REGIONS, Uring, UringError};
pub(crate) use wait::wait_readable;

/// Moves bytes between files and memory.
///
/// One owner at a time submits, flushes and reads completions.
pub trait Engine: Send {
    /// Queues a transfer. The kernel may not see it before [`Engine::flush`].
    ///
    /// # Errors
    /// [`Refused`] gives the transfer back. With [`io::ErrorKind::WouldBlock`] as the reason the
    /// engine is full: read completions, then try again.
    fn submit(&mut self, transfer: Transfer) -> Result<(), Refused>;

    /// Hands everything that is queued to the kernel.
    ///
    /// # Errors
    /// What the kernel said. What it did not take stays queued.
    fn flush(&mut self) -> io::Result<()>;

    /// Appends every completion that is there to `into`, in the order in which they were posted.
    /// Never waits.
    ///
    /// Transfers may be *short*: a result below [`Transfer::len_bytes`] means that the first bytes
    /// were moved and the rest was not. Continuing is the caller's business, with the same buffers.
    fn completed(&mut self, into: &mut Vec<Completion>);

    /// Becomes readable when a completion is posted. [`Engine::completed`] makes it unreadable
    /// again, unless more are posted meanwhile. Valid for as long as the engine.
    fn event_fd(&self) -> RawFd;

    /// Transfers that the kernel has and has not finished: no completion is posted.
    fn in_flight(&mut self) -> usize;

    /// Transfers that were submitted and whose completions were not read: queued ones, those in
    /// flight, and those that are finished.
    fn pending(&self) -> usize;
}

impl<E: Engine + ?Sized> Engine for Box<E> {
    fn submit(&mut self, transfer: Transfer) -> Result<(), Refused> {
        (**self).submit(transfer)
    }

    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }

    fn completed(&mut self, into: &mut Vec<Completion>) {
        (**self).completed(into);
    }

    fn event_fd(&self) -> RawFd {
        (**self).event_fd()
    }

    fn in_flight(&mut self) -> usize {
        (**self).in_flight()
    }

    fn pending(&self) -> usize {
        (**self).pending()
    }
}
