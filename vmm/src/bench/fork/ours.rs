//! pincow's side: a guest that is forked, and both sides verified.

use std::time::Instant;

use pincow_guest_protocol::map::PAGE_BYTES;
use pincow_guest_protocol::{Command, Outcome, control};
use vm_memory::{Bytes, GuestAddress};

use super::super::nowhere;
use super::{BenchError, CHURN_PAGES, Dirt, ForkTimes};
use crate::drive::{self, Churn};
use crate::guest::Guest;

const CHURN: Churn = Churn { pages: CHURN_PAGES, seed: 5 };

/// To a vCPU whose churn has ended.
const GO_ON: Command = Command::ChurnOn { limit: 0 };

/// A guest, forked again and again.
pub(super) struct Ours {
    guest: Guest,
    dirt: Dirt,
    /// What it wrote last, and how often it was forked.
    value: u64,
}

impl Ours {
    pub(super) fn new(guest: Guest, dirt: Dirt) -> Self {
        Self { guest, dirt, value: 0 }
    }

    /// Lets the guest write its pages, forks it in the middle of its churn, and verifies both sides.
    pub(super) fn sample(&mut self, times: &mut ForkTimes) -> Result<(), BenchError> {
        self.write_pages()?;
        // What the last churn left there would be taken for progress.
        let vcpus = 0..self.guest.machine().vcpus();
        vcpus.clone().try_for_each(|vcpu| {
            drive::set_control_word(&self.guest, vcpu, control::SEQUENCE, 0)
        })?;
        CHURN.start(&self.guest)?;
        let from_zero: Vec<u64> = vcpus.map(|_| 0).collect();
        CHURN.wait(&self.guest, &from_zero, 2 * CHURN_PAGES)?;
        let child = self.fork(times)?;
        self.go_on_and_verify(&child, times)
    }

    fn write_pages(&mut self) -> Result<(), BenchError> {
        self.value += 1;
        let space = self.guest.space();
        self.dirt.gfns().try_for_each(|gfn| space.fault(gfn, true))?;
        drive::call(&self.guest, 0, self.dirt.command(self.value))?;
        Ok(())
    }

    fn fork(&self, times: &mut ForkTimes) -> Result<Guest, BenchError> {
        let begun = Instant::now();
        let (child, cut) = self.guest.fork(nowhere())?;
        let vcpus = 0..child.machine().vcpus();
        for vcpu in vcpus.clone() {
            drive::set_control_word(&child, vcpu, control::STOP, 1)?;
        }
        child.machine().start()?;
        let first = drive::reply(&child, 0, GO_ON)?;
        times.answer.ours.push(begun.elapsed());
        times.pause.push(cut.pause);
        times.mid_run += usize::from(cut.was_mid_run());
        self.note_mismatches(first, times);
        for vcpu in vcpus.skip(1) {
            self.note_mismatches(drive::reply(&child, vcpu, GO_ON)?, times);
        }
        Ok(child)
    }

    /// What the child's vCPU found in its pages until it obeyed.
    fn note_mismatches(&self, values: [u64; 4], times: &mut ForkTimes) {
        let mismatches = Outcome::from_values(values).mismatches;
        if mismatches > 0 {
            let what = format!("fork {}: the child found {mismatches} bad pages", self.value);
            times.violations.push(what);
        }
    }

    /// Lets both sides go once round their pages, each with its own salt, and compares all that they
    /// hold with what they wrote.
    fn go_on_and_verify(&self, child: &Guest, times: &mut ForkTimes) -> Result<(), BenchError> {
        CHURN.salt(child, self.value)?;
        let (here, there) = (CHURN.progress(&self.guest)?, CHURN.progress(child)?);
        for vcpu in 0..child.machine().vcpus() {
            drive::post(child, vcpu, GO_ON)?;
        }
        CHURN.wait(&self.guest, &here, CHURN_PAGES)?;
        CHURN.wait(child, &there, CHURN_PAGES)?;
        for (guest, who) in [(&self.guest, "the parent"), (child, "the child")] {
            let mismatches = CHURN.stop_and_verify(guest)?;
            let found = mismatches.iter().map(ToString::to_string).chain(self.wrong_page(guest)?);
            let say = |what| format!("fork {}, {who}: {what}", self.value);
            times.violations.extend(found.map(say));
        }
        Ok(())
    }

    /// The first of the pages written beforehand that does not begin with what was written.
    fn wrong_page(&self, guest: &Guest) -> Result<Option<String>, BenchError> {
        for gfn in self.dirt.gfns() {
            let address = u64::from(gfn.0) * PAGE_BYTES as u64;
            let found: u64 = guest.machine().ram().memory().read_obj(GuestAddress(address))?;
            if found != self.value {
                let wanted = self.value;
                return Ok(Some(format!("page at {address:#x} has {found}, not {wanted}")));
            }
        }
        Ok(None)
    }
}
