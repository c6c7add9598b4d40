//! The fault thread: reads the page faults of all windows of a family, and has them resolved.
//!
//! It takes no lock of the VMM but what [`Resolve::resolve`] takes (the space's), so that no device
//! that faults while it holds a lock of its own can deadlock with it.

#![expect(unsafe_code, reason = "poll needs a raw system call")]

use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use super::registry::Family;
use super::uffd::BATCH;
use crate::gfn::{Gfn, PAGE_SIZE};
pub use crate::resolve::{FaultKind, Resolve, Resolved};

/// The running thread; stopped and joined on drop.
#[derive(Debug)]
pub(super) struct FaultThread {
    family: Arc<Family>,
    thread: Option<JoinHandle<()>>,
}

impl FaultThread {
    /// Starts the thread of a family.
    pub(super) fn start(family: Arc<Family>) -> io::Result<Self> {
        let its_family = Arc::clone(&family);
        let thread =
            thread::Builder::new().name("pincow-faults".into()).spawn(move || run(&its_family))?;
        Ok(Self { family, thread: Some(thread) })
    }
}

impl Drop for FaultThread {
    fn drop(&mut self) {
        self.family.stop();
        if let Some(thread) = self.thread.take() {
            // A handler that this thread held up may be the last owner of everything: a thread
            // cannot wait for itself, and ends on its own.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

fn run(family: &Family) {
    loop {
        let rung = wait(family);
        if rung {
            // Before the look at what rang: what rings during it is not lost.
            family.bell().hear();
        }
        if family.is_stopping() {
            return;
        }
        if rung {
            for (page, kind) in family.deferred.all() {
                handle(family, page, kind);
            }
        }
        let take = |event: super::uffd::FaultEvent| {
            handle(family, event.page, FaultKind { write: event.write, absent: !event.protected });
        };
        while family.uffd.read(take).is_ok_and(|messages| messages == BATCH) {}
    }
}

/// Sleeps until there is a fault to read or the bell rings; `true` for the bell.
fn wait(family: &Family) -> bool {
    let on = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut polled = [on(family.uffd.as_raw_fd()), on(family.bell().as_raw_fd())];
    // SAFETY: the array has as many entries as said. A failure (a signal) is a wake-up.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, -1) };
    polled[1].revents != 0
}

/// Has one fault resolved.
///
/// Between a handler's `Later` and the entry in the list, a pin may go away and ask for a retry: the
/// bell is heard after this function, so the retry is not lost.
fn handle(family: &Family, page: usize, kind: FaultKind) {
    family.begin_asking();
    let resolved = match family.find(page) {
        None => Resolved::Done,
        Some((_, None)) => Resolved::Later,
        Some((gfn, Some(handler))) => ask(&handler, gfn, kind),
    };
    match resolved {
        Resolved::Later => family.defer(page, kind),
        Resolved::Done => {
            family.deferred.forget(page);
            family.uffd.wake(page, PAGE_SIZE);
        }
    }
    family.end_asking();
}

/// A handler that is gone has no guest any more: whoever waits may go on.
fn ask(handler: &Weak<dyn Resolve>, gfn: Gfn, kind: FaultKind) -> Resolved {
    handler.upgrade().map_or(Resolved::Done, |handler| handler.resolve(gfn, kind))
}

#[cfg(test)]
mod tests;
