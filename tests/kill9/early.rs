//! The engines: an honest one, and the negative control.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use pincow_vmm::guest::MakeEngine;
use pincow_vmm::io::{Completion, Engine, Held, Kind, Refused, Transfer, Uring, UringError};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};
use vmm_sys_util::poll::EpollContext;

/// How long transfers take at least, so that a kill meets some.
const DELAY: Duration = Duration::from_millis(4);

/// How much too early the control is: longer than its guest takes for its next steps.
const EARLY: Duration = Duration::from_millis(60);

/// A slow disk; `early` acknowledges what changes it before it is submitted.
pub(crate) fn engine(early: bool) -> MakeEngine {
    Arc::new(move |entries| {
        let failed = |source| UringError { operation: "eventfd", entries, source };
        let held = Held::new(Uring::new(entries)?).map_err(failed)?;
        held.control().delay(if early { EARLY } else { DELAY });
        Ok(match early {
            true => Box::new(Early::new(held).map_err(failed)?),
            false => Box::new(held),
        })
    })
}

/// Acknowledges writes and syncs when it is given them, and has another engine carry them out.
struct Early<E> {
    inner: E,
    told: Vec<Completion>,
    tell: EventFd,
    any: EpollContext<u32>,
}

/// A descriptor that somebody else keeps open.
struct Fd(RawFd);

impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl<E: Engine> Early<E> {
    fn new(inner: E) -> io::Result<Self> {
        let tell = EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?;
        let any = EpollContext::new()?;
        any.add(&Fd(inner.event_fd()), 0)?;
        any.add(&tell, 1)?;
        Ok(Self { inner, told: Vec::new(), tell, any })
    }
}

/// Marks the completions that nobody waits for any more.
const FORGOTTEN: u64 = 1 << 63;

impl<E: Engine> Engine for Early<E> {
    fn submit(&mut self, mut transfer: Transfer) -> Result<(), Refused> {
        if transfer.kind == Kind::Read {
            return self.inner.submit(transfer);
        }
        let (id, buffers) = (transfer.id, transfer.buffers.clone());
        transfer.id |= FORGOTTEN;
        if let Err(mut refused) = self.inner.submit(transfer) {
            refused.transfer.id = id;
            return Err(refused);
        }
        let result = Ok(buffers.len_bytes());
        self.told.push(Completion { id, result, buffers });
        // It fails only where the counter is full, and then it is readable anyway.
        let _ = self.tell.write(1);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }

    fn completed(&mut self, into: &mut Vec<Completion>) {
        // It fails where nobody rang.
        let _ = self.tell.read();
        self.inner.completed(into);
        into.retain(|completion| completion.id & FORGOTTEN == 0);
        into.append(&mut self.told);
    }

    fn event_fd(&self) -> RawFd {
        self.any.as_raw_fd()
    }

    fn in_flight(&mut self) -> usize {
        self.inner.in_flight()
    }

    fn pending(&self) -> usize {
        self.inner.pending() + self.told.len()
    }
}
