//! A disk that takes its time, as those of real machines do.
//!
//! The disks of the bed are memory, and answer before its emulated processor has asked for a second
//! transfer. This one is as busy as it is asked to be, whenever a fork comes; and as each transfer takes a
//! time of its own, some end while others beside them, in the same pages, have not begun.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pincow_mmu::scenario::Random;
use pincow_vmm::guest::MakeEngine;
use pincow_vmm::io::{Completion, Engine, Held, Kind, Refused, Transfer, Uring, UringError};

/// How long the writes and the reads of a family take at most, in microseconds.
#[derive(Clone)]
pub(crate) struct Pace {
    write_us: u64,
    read_us: Arc<AtomicU64>,
}

impl Pace {
    pub(crate) fn new(longest: Duration) -> Self {
        let write_us = microseconds(longest);
        Self { write_us, read_us: Arc::new(write_us.into()) }
    }

    /// How long reads take at most from now on, for all guests of the family.
    pub(crate) fn slow_reads(&self, longest: Duration) {
        self.read_us.store(microseconds(longest), Ordering::Relaxed);
    }

    /// io_uring, with transfers that begin late.
    pub(crate) fn engine(&self) -> MakeEngine {
        let pace = self.clone();
        Arc::new(move |entries| {
            let failed = |source| UringError { operation: "eventfd", entries, source };
            let held = Held::new(Uring::new(entries)?).map_err(failed)?;
            Ok(Box::new(Uneven { held, pace: pace.clone(), random: Random::new(1) }))
        })
    }
}

fn microseconds(time: Duration) -> u64 {
    time.as_micros().try_into().expect("a short time")
}

struct Uneven {
    held: Held<Uring>,
    pace: Pace,
    random: Random,
}

impl Engine for Uneven {
    fn submit(&mut self, transfer: Transfer) -> Result<(), Refused> {
        let longest_us = match transfer.kind {
            Kind::Read => self.pace.read_us.load(Ordering::Relaxed),
            _ => self.pace.write_us,
        };
        self.held.control().delay(Duration::from_micros(self.random.below(longest_us)));
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
