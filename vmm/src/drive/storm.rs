//! A guest that keeps many disk transfers in flight, and verifies all that they move.

use pincow_guest_protocol::map::TABLE_FIRST_PAGE;
use pincow_guest_protocol::storm::{Finding, FindingKind, Plan, Totals, words};
use pincow_guest_protocol::{Command, control};

use super::{DriveError, call, control_word, post, reply, set_control_word, wait_until};
use crate::guest::Guest;

/// The [storm](pincow_guest_protocol::storm) of vCPU 0 on the first disk.
#[derive(Clone, Copy, Debug)]
pub struct Storm {
    /// Sectors of the disk that it uses, from the first on. They hold zeros at first.
    pub sectors: u64,
    /// Most transfers in flight.
    pub depth: u64,
    /// Most sectors of a transfer.
    pub most: u64,
    /// Where its choices come from.
    pub seed: u64,
}

/// How a storm has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StormEnd {
    /// Transfers that have ended since the storm began, in this guest and those that it comes from.
    pub transfers: u64,
    /// Sectors of the disk that were read back at the end and compared with what the guest wrote.
    pub read_back: u64,
    /// What the guest found, of each kind that it found anything of.
    pub findings: Vec<(FindingKind, u64)>,
    /// The first of them.
    pub first: Option<Finding>,
}

impl Storm {
    /// Half of the transfers write.
    const WRITES: u64 = 128;
    /// Of 256 transfers, those whose buffers are aligned to nothing.
    const UNALIGNED: u64 = 48;

    fn pages(&self) -> u64 {
        Plan::pages_for(self.depth, self.most, self.sectors)
    }

    fn command(&self) -> Command {
        let (first, pages) = (TABLE_FIRST_PAGE, self.pages());
        Command::DiskStorm { first, pages, seed: self.seed, limit: 0 }
    }

    /// Sets the disk up and begins.
    ///
    /// # Errors
    /// When there is no such disk, or the vCPU is busy or gone.
    pub fn start(&self, guest: &Guest) -> Result<(), DriveError> {
        call(guest, 0, Command::DiskInit { device: 0, queue_size: 0, flags: 0 })?;
        use words::flag::{FLUSH, FRESH, ZERO, ZEROS};
        let parameters = [
            (words::DEVICE, 0),
            (words::SECTOR, 0),
            (words::SECTORS, self.sectors),
            (words::DEPTH, self.depth),
            (words::MOST, self.most),
            (words::WRITES, Self::WRITES),
            (words::UNALIGNED, Self::UNALIGNED),
            (words::FLAGS, FRESH | ZEROS | FLUSH | ZERO),
        ];
        for (word, value) in parameters {
            set_control_word(guest, 0, word, value)?;
        }
        post(guest, 0, self.command())
    }

    /// From now on the guest writes sectors that no other guest writes.
    ///
    /// # Errors
    /// When guest memory cannot be reached.
    pub fn salt(&self, guest: &Guest, salt: u64) -> Result<(), DriveError> {
        set_control_word(guest, 0, control::SALT, salt)
    }

    /// How many transfers have ended.
    ///
    /// # Errors
    /// When guest memory cannot be reached.
    pub fn progress(&self, guest: &Guest) -> Result<u64, DriveError> {
        control_word(guest, 0, words::TRANSFERS)
    }

    /// Waits until `more` transfers have ended beyond `since`.
    ///
    /// # Errors
    /// When the guest ends or makes no progress.
    pub fn wait(&self, guest: &Guest, since: u64, more: u64) -> Result<(), DriveError> {
        let stuck = || DriveError::StormStuck { at: self.progress(guest).unwrap_or(0) };
        wait_until(guest, || Ok(self.progress(guest)? >= since + more), stuck)
    }

    /// Lets the last transfers end, has all sectors read back, and says what was found, all the time.
    ///
    /// # Errors
    /// When the guest ends or does not stop.
    pub fn stop(&self, guest: &Guest) -> Result<StormEnd, DriveError> {
        set_control_word(guest, 0, control::STOP, 1)?;
        let totals = Totals::from_values(reply(guest, 0, self.command())?);
        let mut findings = Vec::new();
        for kind in FindingKind::ALL {
            match control_word(guest, 0, words::FINDINGS + kind as usize)? {
                0 => {}
                count => findings.push((kind, count)),
            }
        }
        let mut first = [0; 8];
        for (at, word) in (words::FIRST_FINDING..).zip(&mut first) {
            *word = control_word(guest, 0, at)?;
        }
        let Totals { transfers, read_back, .. } = totals;
        Ok(StormEnd { transfers, read_back, findings, first: Finding::from_words(first) })
    }
}
