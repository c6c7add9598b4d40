//! A guest of the run.

use pincow_guest_protocol::storm::FindingKind;

use super::finding::{Finding, Kind, Witness};
use super::storm::{self, Progress};
use super::{Report, StressError};
use crate::drive::DriveError;
use crate::guest::Guest;

/// A guest, its number, and what of its findings was told already.
pub(super) struct Member {
    pub(super) guest: Guest,
    pub(super) number: u64,
    /// By vCPU.
    born_with: Vec<Progress>,
    told: Vec<[u64; FindingKind::ALL.len()]>,
}

impl Member {
    /// A guest that was just born, with the numbers of its parent.
    pub(super) fn new(guest: Guest, number: u64) -> Result<Self, StressError> {
        let vcpus = 0..guest.machine().vcpus();
        let born_with =
            vcpus.map(|vcpu| storm::progress(&guest, vcpu)).collect::<Result<Vec<_>, _>>()?;
        let told = born_with.iter().map(|progress| progress.findings).collect();
        Ok(Self { guest, number, born_with, told })
    }

    /// Takes over what it has found since the last look, and whether it has ended.
    pub(super) fn look(&mut self, report: &mut Report) -> Result<(), StressError> {
        for (vcpu, told) in (0..).zip(&mut self.told) {
            let now = storm::progress(&self.guest, vcpu)?.findings;
            let news = now.iter().zip(&*told).any(|(now, told)| now > told);
            if !news {
                continue;
            }
            let inherited = told.iter().any(|count| *count > 0);
            let first = if inherited { None } else { storm::first_finding(&self.guest, vcpu)? };
            for ((kind, now), told) in FindingKind::ALL.into_iter().zip(now).zip(&mut *told) {
                report.count(kind.into(), now.saturating_sub(*told));
                *told = now;
            }
            if let Some(first) = first {
                let finding = Finding::of_storm(self.number, Witness::Guest, &first);
                report.first.get_or_insert(finding);
            }
        }
        Ok(())
    }

    /// Takes over all that it did. Nothing is left to be told then.
    pub(super) fn settle(&mut self, report: &mut Report) -> Result<(), StressError> {
        self.look(report)?;
        for (vcpu, born_with) in (0..).zip(&mut self.born_with) {
            let now = storm::progress(&self.guest, vcpu)?;
            report.transfers += now.transfers.saturating_sub(born_with.transfers);
            report.bytes += now.bytes.saturating_sub(born_with.bytes);
            *born_with = now;
        }
        let counts = self.guest.disk_counts();
        report.reissued += counts.iter().map(|counts| counts.reissued).sum::<u64>();
        Ok(())
    }

    /// What a guest that does not answer is: a finding, unless it is the monitor that fails.
    pub(super) fn silent(&self, error: DriveError) -> Result<Finding, StressError> {
        match error {
            DriveError::Ended(_)
            | DriveError::Refused { .. }
            | DriveError::Mailbox { .. }
            | DriveError::Stuck { .. } => Ok(self.ended(error.to_string())),
            error => Err(error.into()),
        }
    }

    /// It does not run any more.
    pub(super) fn ended(&self, found: String) -> Finding {
        Finding::plain(Kind::Ended, Some(self.number), "a guest that runs and answers", found)
    }
}
