//! Images never change after their birth, and hold what their guest had: what a snapshot's disk
//! holds is read twice, and compared with the snapshot's memory.

use std::sync::Arc;

use super::finding::{Finding, Kind};
use super::reader::Sectors;
use super::{Plan, StressError, inspect, storm};
use crate::devices::serial::nowhere;
use crate::guest::Snapshot;

/// A snapshot, and the checksums that its disks had when it was taken.
pub(super) struct Watched {
    pub(super) snapshot: Arc<Snapshot>,
    /// Whose it is.
    guest: u64,
    checksums: Vec<u32>,
}

impl Watched {
    /// Reads the disks for the first time.
    pub(super) fn new(snapshot: Snapshot, guest: u64) -> Result<Self, StressError> {
        let checksums = checksums(&snapshot)?;
        Ok(Self { snapshot: Arc::new(snapshot), guest, checksums })
    }

    /// Reads the disks again, since writes that were in flight at the cut have landed by now,
    /// wherever; and compares those of a clone, which never runs, with its memory.
    pub(super) fn verify(&self, plan: &Plan) -> Result<(u64, Vec<Finding>), StressError> {
        let now = checksums(&self.snapshot)?;
        let clone = self.snapshot.spawn(nowhere())?;
        let mut seen = inspect::verify(&clone, self.guest, plan)?;
        if now != self.checksums {
            let (expected, found) =
                (format!("{:08x?}", self.checksums), format!("checksums {now:08x?} later"));
            let expected = format!("disks with the checksums {expected} at birth");
            let guest = Some(self.guest);
            seen.findings.push(Finding::plain(Kind::Image, guest, &expected, found));
        }
        Ok((seen.sectors, seen.findings))
    }
}

fn checksums(snapshot: &Snapshot) -> Result<Vec<u32>, StressError> {
    let checksum = |image: &crate::disk::DiskImage| {
        Ok(Sectors::read(&image.spawn()?, storm::SECTORS)?.checksum())
    };
    snapshot.disks().map(checksum).collect()
}
