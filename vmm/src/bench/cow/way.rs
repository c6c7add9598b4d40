//! How each method makes a clone, and has it write.

use std::time::{Duration, Instant};

use pincow_guest_protocol::Command;
use pincow_mmu::Backing;
use vm_memory::{Bytes, GuestAddress};

use super::super::bare::{Bare, Content, CpuState, Writes, states_of};
use super::super::{BenchError, nowhere, snapshot_of_idle, timed_call};
use super::layout::{Layout, wrong_page};
use super::{PUPILS, Sample, TEACHERS, private};
use crate::drive;
use crate::guest::{Guest, Prefault, Snapshot};
use crate::kvm::Host;

/// How often it is looked whether the prefault of a clone that has answered is over.
const LOOK_EVERY: Duration = Duration::from_micros(100);

/// What is measured: a sample, and what was found wrong.
pub(super) type Found = (Sample, Option<String>);

/// How clones are made.
pub(super) enum Way<'a> {
    Bare { host: &'a Host, content: Content, states: Vec<CpuState> },
    Plain(Snapshot),
    Trained(Trained<'a>, Moment),
}

/// When a clone that has answered the ping is asked to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    AtOnce,
    /// When all is prefaulted.
    Ready,
}

impl<'a> Way<'a> {
    pub(super) fn floor(
        host: &'a Host,
        root: &Guest,
        snapshot: &Snapshot,
    ) -> Result<Self, BenchError> {
        let content = Content::of(root, root.machine().ram().len_bytes() as u64)?;
        Ok(Self::Bare { host, content, states: states_of(host, snapshot.state())? })
    }

    pub(super) fn write(&mut self, layout: Layout) -> Result<Found, BenchError> {
        match self {
            Self::Bare { host, content, states } => {
                let begun = Instant::now();
                let mut bare = Bare::new(host, content.map(Writes::Copy)?, states)?;
                bare.start()?;
                bare.timed_call(Command::Ping)?;
                on_floor(&bare, layout, begun.elapsed())
            }
            Self::Plain(snapshot) => on_clone(snapshot, layout, Moment::AtOnce),
            Self::Trained(trained, moment) => on_clone(trained.snapshot()?, layout, *moment),
        }
    }
}

/// Snapshots whose clones have written something.
pub(super) struct Trained<'a> {
    root: &'a Guest,
    written: Layout,
    snapshot: Option<Snapshot>,
    pupils: usize,
}

impl<'a> Trained<'a> {
    pub(super) fn new(root: &'a Guest, written: Layout) -> Self {
        Self { root, written, snapshot: None, pupils: 0 }
    }

    fn snapshot(&mut self) -> Result<&Snapshot, BenchError> {
        if self.pupils.is_multiple_of(PUPILS) {
            self.snapshot = None;
        }
        self.pupils += 1;
        let known = self.snapshot.take();
        let snapshot = known.map_or_else(|| self.train(), Ok)?;
        Ok(self.snapshot.insert(snapshot))
    }

    fn train(&self) -> Result<Snapshot, BenchError> {
        let mut snapshot = snapshot_of_idle(self.root)?;
        snapshot.set_prefault(Prefault::Learned);
        for _ in 0..TEACHERS {
            let teacher = snapshot.spawn(nowhere())?;
            teacher.machine().start()?;
            drive::call(&teacher, 0, self.written.write())?;
        }
        Ok(snapshot)
    }
}

fn on_floor(bare: &Bare, layout: Layout, answer: Duration) -> Result<Found, BenchError> {
    let before = bare.cpu_time();
    let guest = bare.timed_call(layout.write())?;
    let cpu = bare.cpu_time().saturating_sub(before);
    let view = bare.memory();
    let copied = private::pages(view.address(), view.len_bytes());
    let copied = copied.map_err(BenchError::Accounting)?;
    let wrong = wrong_page(layout, |at| Ok::<_, BenchError>(view.load(at)))?;
    Ok((Sample { answer, guest, cpu, copied, ..Sample::default() }, wrong))
}

fn on_clone(snapshot: &Snapshot, layout: Layout, moment: Moment) -> Result<Found, BenchError> {
    let copied_before = snapshot.realm().counts().copied;
    let counters = snapshot.realm().family().counters();
    let prefaulted_before = counters.prefaulted.get();
    let prefault_cpu_before = snapshot.realm().prefault_cpu_time();
    let begun = Instant::now();
    let clone = snapshot.spawn(nowhere())?;
    clone.machine().start()?;
    drive::call(&clone, 0, Command::Ping)?;
    let answer = begun.elapsed();
    if moment == Moment::Ready {
        wait_for_prefault(&clone);
    }
    let before = clone.machine().cpu_time();
    let prefaulted = counters.prefaulted.get() - prefaulted_before;
    let guest = timed_call(&clone, layout.write())?;
    let written = clone.machine().cpu_time().saturating_sub(before);
    wait_for_prefault(&clone);
    let prefault_cpu = snapshot.realm().prefault_cpu_time().saturating_sub(prefault_cpu_before);
    let cpu = written + prefault_cpu;
    let window = clone.space().window().addresses();
    let copied = match clone.space().family().backing().host_cow() {
        Some(_) => private::pages(window.start as u64, window.len()),
        None => Ok(clone.realm().counts().copied - copied_before),
    };
    let copied = copied.map_err(BenchError::Accounting)?;
    let memory = clone.machine().ram().memory();
    let wrong = wrong_page(layout, |at| memory.read_obj(GuestAddress(at)))?;
    let sample = Sample { answer, guest, cpu, prefault_cpu, prefaulted, copied };
    Ok((sample, wrong))
}

fn wait_for_prefault(clone: &Guest) {
    while clone.is_prefaulted() {
        std::thread::sleep(LOOK_EVERY);
    }
}
