//! The floor: a bare machine that is stopped, write-protected, and copied into a second one.

use std::time::{Duration, Instant};

use pincow_guest_protocol::control;
use pincow_guest_protocol::map::{TABLE_BASE, TABLE_FIRST_PAGE, control_page};
use pincow_guest_protocol::{Command, Outcome};

use super::super::bare::{Bare, Content, CpuState, Protector, Writes, states_of};
use super::super::{FloorSample, snapshot_of_idle};
use super::{BenchError, CHURN_PAGES, Dirt, ForkTimes};
use crate::drive::PATIENCE;
use crate::guest::Guest;
use crate::kvm::Host;

/// A bare machine, "forked" again and again.
pub(super) struct Floor<'a> {
    host: &'a Host,
    // The waiting writers are let go before the machine is stopped.
    protector: Protector,
    bare: Bare,
    content: Content,
    buffers: Vec<CpuState>,
    dirt: Dirt,
}

fn word(vcpu: u32, word: usize) -> u64 {
    control_page(vcpu as usize) + control::offset(word)
}

fn churn(vcpu: u32) -> Command {
    let first = TABLE_FIRST_PAGE + u64::from(vcpu) * CHURN_PAGES;
    Command::Churn { first, pages: CHURN_PAGES, seed: 5, limit: 0 }
}

impl<'a> Floor<'a> {
    /// A machine in the state of `guest`, which waits for commands and has no tables yet.
    pub(super) fn new(host: &'a Host, guest: &Guest, dirt: Dirt) -> Result<Self, BenchError> {
        let buffers = states_of(host, snapshot_of_idle(guest)?.state())?;
        let content = Content::of(guest, TABLE_BASE)?;
        let memory = content.map(Writes::Through)?;
        let protector = Protector::new(&memory)?;
        let mut bare = Bare::new(host, memory, &buffers)?;
        bare.start()?;
        Ok(Self { host, protector, bare, content, buffers, dirt })
    }

    /// The same as pincow's sample, without the verification.
    pub(super) fn sample(&mut self, times: &mut ForkTimes) -> Result<(), BenchError> {
        self.bare.timed_call(self.dirt.command(1))?;
        self.start_churn()?;
        let begun = Instant::now();
        self.bare.pause(&mut self.buffers)?;
        self.protector.protect(self.dirt.end_bytes())?;
        self.bare.resume();
        times.floor_pause.push(begun.elapsed());
        let sample = self.child(begun)?;
        times.answer.push_floor(sample);
        self.stop_churn()
    }

    /// Makes a second machine of what the first one was when it was protected.
    fn child(&self, begun: Instant) -> Result<FloorSample, BenchError> {
        let memory = self.content.map(Writes::Copy)?;
        let vcpus = 0..self.bare.vcpus();
        vcpus.clone().for_each(|vcpu| memory.store(word(vcpu, control::STOP), 1));
        let mut child = Bare::new(self.host, memory, &self.buffers)?;
        vcpus.into_iter().try_for_each(|vcpu| child.take_up(vcpu, churn(vcpu)))?;
        child.start()?;
        child.answer_since(begun)
    }

    fn start_churn(&self) -> Result<(), BenchError> {
        let deadline = Instant::now() + PATIENCE;
        for vcpu in 0..self.bare.vcpus() {
            // What the last churn left there would be taken for progress.
            self.bare.memory().store(word(vcpu, control::SEQUENCE), 0);
            self.bare.post(vcpu, churn(vcpu))?;
        }
        for vcpu in 0..self.bare.vcpus() {
            while self.bare.memory().load(word(vcpu, control::SEQUENCE)) < 2 * CHURN_PAGES {
                if Instant::now() > deadline {
                    return Err(BenchError::FloorEnded("its churn makes no progress".into()));
                }
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        Ok(())
    }

    fn stop_churn(&self) -> Result<(), BenchError> {
        self.protector.lift(self.dirt.end_bytes())?;
        for vcpu in 0..self.bare.vcpus() {
            self.bare.memory().store(word(vcpu, control::STOP), 1);
            let mismatches = Outcome::from_values(self.bare.reply(vcpu)?).mismatches;
            if mismatches > 0 {
                return Err(BenchError::FloorEnded(format!("it found {mismatches} bad pages")));
            }
        }
        Ok(())
    }
}
