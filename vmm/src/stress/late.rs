//! A disk some of whose transfers are late, as those of a slow disk are: what a rule protects is at
//! risk for longer, and its absence is seen sooner.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use crate::guest::MakeEngine;
use crate::io::{Completion, Engine, Held, HeldControl, Refused, Transfer, Uring, UringError};

/// Which transfers are late, and how much.
#[derive(Clone, Copy)]
pub(super) struct Lateness {
    /// One of so many is.
    pub(super) every: u64,
    /// It begins so long after its submission.
    pub(super) by: Duration,
}

/// An engine that begins some transfers late.
struct Late {
    held: Held<Uring>,
    control: HeldControl,
    lateness: Lateness,
    submitted: u64,
}

/// Engines over io_uring that begin some transfers late.
pub(super) fn late(lateness: Lateness) -> MakeEngine {
    Arc::new(move |entries| {
        let failed = |source| UringError { operation: "eventfd", entries, source };
        let held = Held::new(Uring::new(entries)?).map_err(failed)?;
        let control = held.control();
        Ok(Box::new(Late { held, control, lateness, submitted: 0 }))
    })
}

impl Engine for Late {
    fn submit(&mut self, transfer: Transfer) -> Result<(), Refused> {
        self.submitted += 1;
        self.control.delay(match self.submitted.is_multiple_of(self.lateness.every) {
            true => self.lateness.by,
            false => Duration::ZERO,
        });
        self.held.submit(transfer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.held.flush()
    }

    fn completed(&mut self, into: &mut Vec<Completion>) {
        self.held.completed(into);
    }

    fn event_fd(&self) -> RawFd {
        self.held.event_fd()
    }

    fn in_flight(&mut self) -> usize {
        self.held.in_flight()
    }

    fn pending(&self) -> usize {
        self.held.pending()
    }
}
