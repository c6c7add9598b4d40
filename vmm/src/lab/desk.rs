//! The engine of a device whose transfers a script makes.
//!
//! A transfer that is submitted comes to a [`Desk`], and stays there, with its buffers and so with its
//! pins, until the script ends it. All engines of a lab share one. What is on it outlives the guest
//! that submitted it, as what the kernel is busy with would: the pins end when the *script* says so.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use crate::io::{Buffers, Completion, Engine, Refused, Transfer};

#[cfg(test)]
mod tests;

/// Where transfers wait for a script, each by the number of its arrival.
#[derive(Clone, Default)]
pub(super) struct Desk(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    came: Condvar,
}

#[derive(Default)]
struct State {
    kept: BTreeMap<u64, (Transfer, Weak<Inbox>)>,
    arrived: u64,
}

/// What one engine has to tell its device.
struct Inbox {
    ended: Mutex<Vec<Completion>>,
    told: EventFd,
}

/// Where a transfer goes, and on which memory.
pub(super) struct Part {
    /// The file.
    pub(super) file: Arc<File>,
    /// Where in the file, in bytes.
    pub(super) offset: u64,
    /// The memory. It must be dropped before the transfer is ended, for the pins to end with that.
    pub(super) buffers: Buffers,
}

impl Desk {
    /// An engine that puts its transfers here.
    ///
    /// # Errors
    /// When the kernel gives no event counter.
    pub(super) fn engine(&self) -> io::Result<impl Engine + use<>> {
        let told = EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?;
        let inbox = Arc::new(Inbox { ended: Mutex::default(), told });
        Ok(Keeper { desk: self.clone(), inbox })
    }

    /// How many transfers have come so far: the number that the next one will have.
    pub(super) fn arrived(&self) -> u64 {
        self.0.state.lock().arrived
    }

    /// Waits until transfer `number` has come. Whether it has.
    pub(super) fn wait(&self, number: u64, longest: Duration) -> bool {
        let deadline = Instant::now() + longest;
        let mut state = self.0.state.lock();
        while state.arrived <= number {
            if self.0.came.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.arrived > number
    }

    /// What transfer `number` is about, if it is here.
    pub(super) fn part(&self, number: u64) -> Option<Part> {
        let state = self.0.state.lock();
        let (transfer, _) = state.kept.get(&number)?;
        let Transfer { file, offset, buffers, .. } = transfer;
        Some(Part { file: Arc::clone(file), offset: *offset, buffers: buffers.clone() })
    }

    /// Ends transfer `number`: with all its bytes moved, or cancelled. Its device reads the
    /// completion, and lets go of its memory, a moment later; that of a device which is gone is let
    /// go at once.
    pub(super) fn end(&self, number: u64, done: bool) {
        let Some((transfer, inbox)) = self.0.state.lock().kept.remove(&number) else { return };
        let Some(inbox) = inbox.upgrade() else { return };
        let result = match done {
            true => Ok(transfer.len_bytes()),
            false => Err(io::Error::from_raw_os_error(libc::ECANCELED)),
        };
        let Transfer { id, buffers, .. } = transfer;
        inbox.ended.lock().push(Completion { id, result, buffers });
        // It fails only where the counter is full, and then it is readable anyway.
        let _ = inbox.told.write(1);
    }
}

/// An engine that moves nothing, and keeps what it is given.
struct Keeper {
    desk: Desk,
    inbox: Arc<Inbox>,
}

impl Keeper {
    fn kept(&self) -> usize {
        let state = self.desk.0.state.lock();
        let own = |inbox: &Weak<Inbox>| inbox.as_ptr() == Arc::as_ptr(&self.inbox);
        state.kept.values().filter(|(_, inbox)| own(inbox)).count()
    }
}

impl Engine for Keeper {
    fn submit(&mut self, transfer: Transfer) -> Result<(), Refused> {
        let mut state = self.desk.0.state.lock();
        let number = state.arrived;
        state.arrived += 1;
        state.kept.insert(number, (transfer, Arc::downgrade(&self.inbox)));
        self.desk.0.came.notify_all();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn completed(&mut self, into: &mut Vec<Completion>) {
        // It fails where the counter is 0 already.
        let _ = self.inbox.told.read();
        into.append(&mut self.inbox.ended.lock());
    }

    fn event_fd(&self) -> RawFd {
        self.inbox.told.as_raw_fd()
    }

    fn in_flight(&mut self) -> usize {
        self.kept()
    }

    fn pending(&self) -> usize {
        self.kept() + self.inbox.ended.lock().len()
    }
}
