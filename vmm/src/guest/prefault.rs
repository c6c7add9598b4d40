//! Making pages that a clone will probably write its own, beside the start of its vCPUs.
//!
//! A family has one thread for it, which has one clone at a time and one that waits: when more clones are made
//! than it can keep up with, they copy at their first writes as ever. The clone goes on meanwhile, and ends the work
//! when it is forked, paused or dropped. The thread works only while the host has a CPU for it: one that shares the CPU
//! of the clone's first instructions delays its first answer by all that it does.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, Builder, JoinHandle};
use std::time::Duration;

use pincow_mmu::Prefault as Work;
use pincow_mmu::host::HostMemory;

use crate::process::cpu_time;

mod cores;

use cores::Cores;

/// What is done about pages that clones of a snapshot will probably write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Prefault {
    /// Nothing: they are copied when they are written.
    #[default]
    Off,
    /// What clones of the same snapshot wrote before is copied beside the start of a new one.
    Learned,
}

impl fmt::Display for Prefault {
    /// As the command line has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Learned => "learned",
        })
    }
}

const STACK_BYTES: usize = 256 << 10;

/// How long is waited for a CPU before the first other look, each later one after twice the time: a look costs some
/// 20 us. After the last, the clone has run for so long (31 ms) that it has written its pages.
const FIRST_WAIT: Duration = Duration::from_millis(1);
const LAST_WAIT: Duration = Duration::from_millis(16);

/// A family's thread. Dropping it waits for what it is at.
pub(super) struct Prefaulter {
    work: Option<SyncSender<Arc<Work<HostMemory>>>>,
    thread: Option<JoinHandle<()>>,
}

impl Prefaulter {
    /// Starts it, where there may be a CPU for it.
    pub(super) fn start() -> Option<Self> {
        let cores = Cores::new();
        Self::start_with(move || cores.has_one_for_this_thread())
    }

    /// The same, which goes on while `is_free` says so.
    fn start_with(is_free: impl Fn() -> bool + Send + 'static) -> Option<Self> {
        if thread::available_parallelism().map_or(1, usize::from) == 1 {
            return None;
        }
        // One that waits: beyond that, work would come too late for its clone.
        let (work, next) = mpsc::sync_channel(1);
        let thread = Builder::new().name("pincow-prefault".into()).stack_size(STACK_BYTES);
        let thread = thread.spawn(move || run(&next, is_free)).ok()?;
        Some(Self { work: Some(work), thread: Some(thread) })
    }

    /// Has it begin, unless it has too much to do.
    pub(super) fn begin(&self, work: Work<HostMemory>) -> Option<Begun> {
        let work = Arc::new(work);
        let taken = self.work.as_ref()?.try_send(Arc::clone(&work));
        taken.is_ok().then_some(Begun(work))
    }

    /// The CPU time that its thread has taken.
    pub(super) fn cpu_time(&self) -> Duration {
        self.thread.as_ref().map_or(Duration::ZERO, cpu_time)
    }
}

fn run(next: &Receiver<Arc<Work<HostMemory>>>, is_free: impl Fn() -> bool) {
    while let Ok(work) = next.recv() {
        let mut wait = FIRST_WAIT;
        while !work.is_over() {
            if is_free() {
                work.advance();
            } else if wait > LAST_WAIT {
                work.stop();
            } else {
                thread::sleep(wait);
                wait *= 2;
            }
        }
    }
}

impl Drop for Prefaulter {
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so on stderr.
            let _ = thread.join();
        }
    }
}

/// What was begun for a clone. It ends when this is dropped.
pub(super) struct Begun(Arc<Work<HostMemory>>);

impl Begun {
    /// Ends it: nothing of it goes on afterwards.
    pub(super) fn stop(&self) {
        self.0.stop();
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_over()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests;
