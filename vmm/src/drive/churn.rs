//! A guest that writes and verifies its pages without ever leaving its own code.

use std::fmt;

use pincow_guest_protocol::control::{self, ControlView, Expected};
use pincow_guest_protocol::map::{PAGE_BYTES, TABLE_FIRST_PAGE, control_page};
use pincow_guest_protocol::{Command, Outcome, page};

use super::{DriveError, control_word, page_bytes, post, reply, set_control_word, wait_until};
use crate::guest::Guest;

/// What each vCPU of a guest churns: neighbouring regions of the same size.
#[derive(Clone, Copy, Debug)]
pub struct Churn {
    /// Pages per vCPU.
    pub pages: u64,
    /// Seed of the pages.
    pub seed: u64,
}

/// A page that does not hold what its guest wrote there last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Whose page.
    pub vcpu: u32,
    /// Guest physical address.
    pub address: u64,
    /// What is wrong with it.
    pub fault: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vCPU {}, page at {:#x}: {}", self.vcpu, self.address, self.fault)
    }
}

impl Churn {
    fn first(&self, vcpu: u32) -> u64 {
        TABLE_FIRST_PAGE + u64::from(vcpu) * self.pages
    }

    fn command(&self, vcpu: u32) -> Command {
        Command::Churn { first: self.first(vcpu), pages: self.pages, seed: self.seed, limit: 0 }
    }

    /// Starts it on every vCPU.
    ///
    /// # Errors
    /// When a vCPU is busy or gone.
    pub fn start(&self, guest: &Guest) -> Result<(), DriveError> {
        (0..guest.machine().vcpus()).try_for_each(|vcpu| post(guest, vcpu, self.command(vcpu)))
    }

    /// From now on the guest writes pages that no other guest writes.
    ///
    /// # Errors
    /// When guest memory cannot be reached.
    pub fn salt(&self, guest: &Guest, salt: u64) -> Result<(), DriveError> {
        let vcpus = 0..guest.machine().vcpus();
        vcpus.into_iter().try_for_each(|vcpu| set_control_word(guest, vcpu, control::SALT, salt))
    }

    /// How many pages each vCPU has written.
    ///
    /// # Errors
    /// When guest memory cannot be reached.
    pub fn progress(&self, guest: &Guest) -> Result<Vec<u64>, DriveError> {
        (0..guest.machine().vcpus())
            .map(|vcpu| control_word(guest, vcpu, control::SEQUENCE))
            .collect()
    }

    /// Waits until each vCPU has written `more` pages beyond `since`.
    ///
    /// # Errors
    /// When the guest ends or makes no progress.
    pub fn wait(&self, guest: &Guest, since: &[u64], more: u64) -> Result<(), DriveError> {
        for (vcpu, since) in (0..).zip(since) {
            let at = || control_word(guest, vcpu, control::SEQUENCE);
            let stuck = || DriveError::Stuck { vcpu, at: at().unwrap_or(0) };
            wait_until(guest, || Ok(at()? >= since + more), stuck)?;
        }
        Ok(())
    }

    /// Stops the churn, which has been once round, and compares every page with what the guest's own log says that it wrote
    /// there last. The guest has done the same all the time; what it found counts too.
    ///
    /// # Errors
    /// When the guest ends or does not stop.
    pub fn stop_and_verify(&self, guest: &Guest) -> Result<Vec<Mismatch>, DriveError> {
        let vcpus = 0..guest.machine().vcpus();
        vcpus.clone().try_for_each(|vcpu| set_control_word(guest, vcpu, control::STOP, 1))?;
        let mut found = Vec::new();
        for vcpu in vcpus {
            let outcome = Outcome::from_values(reply(guest, vcpu, self.command(vcpu))?);
            let view = ControlView::new(&page_bytes(
                guest,
                control_page(vcpu as usize) / PAGE_BYTES as u64,
            )?);
            if outcome.mismatches > 0 {
                let address = view.word(control::BAD_ADDRESS);
                let fault = format!("the guest itself found {} bad pages", outcome.mismatches);
                found.push(Mismatch { vcpu, address, fault });
            }
            self.verify(guest, vcpu, &view, &mut found)?;
        }
        Ok(found)
    }

    fn verify(
        &self,
        guest: &Guest,
        vcpu: u32,
        view: &ControlView,
        found: &mut Vec<Mismatch>,
    ) -> Result<(), DriveError> {
        let first = self.first(vcpu);
        for number in first..first + self.pages {
            let bytes = page_bytes(guest, number)?;
            let fault = match view.expected(number, false) {
                Expected::Page(header) => match page::verify_exact(&bytes, &header) {
                    Ok(()) => continue,
                    Err(fault) => fault.to_string(),
                },
                Expected::Unwritten | Expected::InFlight => "its churn never came here".into(),
            };
            found.push(Mismatch { vcpu, address: number * PAGE_BYTES as u64, fault });
        }
        Ok(())
    }
}
