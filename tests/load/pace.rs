//! A disk that takes its time, as those of real machines do.
//!
//! The disks of the bed are memory, and answer before its emulated processor has asked for a second
//! transfer. This one is as busy as it is asked to be, whenever a fork comes; and as each transfer takes a
//! time of its own, some end while others beside them, in the same pages, have not begun.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use pincow_mmu::scenario::Random;
use pincow_vmm::guest::MakeEngine;
use pincow_vmm::io::{Completion, Engine, Held, Refused, Transfer, Uring, UringError};

/// How long the transfers of a disk take at most.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    longest_us: u64,
}

impl Pace {
    pub(crate) fn new(longest: Duration) -> Self {
        Self { longest_us: longest.as_micros().try_into().expect("a short time") }
    }

    /// io_uring, with transfers that begin late.
    pub(crate) fn engine(self) -> MakeEngine {
        Arc::new(move |entries| {
            let failed = |source| UringError { operation: "eventfd", entries, source };
            let held = Held::new(Uring::new(entries)?).map_err(failed)?;
            Ok(Box::new(Uneven { held, pace: self, random: Random::new(1) }))
        })
    }
}

struct Uneven {
    held: Held<Uring>,
    pace: Pace,
    random: Random,
}

impl Engine for Uneven {
    fn submit(&mut self, transfer: Transfer) -> Result<(), Refused> {
        let delay_us = self.random.below(self.pace.longest_us);
        self.held.control().delay(Duration::from_micros(delay_us));
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
