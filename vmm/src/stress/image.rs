//! Images never change after their birth: what a snapshot's disk holds is read twice.

use std::os::unix::fs::FileExt;

use crate::disk::{DiskImage, Place, SECTOR_BYTES};
use crate::guest::Snapshot;

use super::{Report, StressError, storm};

/// What files opened with `O_DIRECT` may want of buffers, in bytes.
const ALIGNMENT: usize = 4096;

/// A snapshot, and the checksums that its disks had when it was taken.
pub(super) struct Watched {
    snapshot: Snapshot,
    checksums: Vec<u32>,
}

impl Watched {
    pub(super) fn new(snapshot: Snapshot) -> Result<Self, StressError> {
        let checksums = checksums(&snapshot)?;
        Ok(Self { snapshot, checksums })
    }

    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Reads the disks again. Writes that were in flight at the cut have landed by now, wherever.
    pub(super) fn verify(self, report: &mut Report) -> Result<(), StressError> {
        if checksums(&self.snapshot)? != self.checksums {
            report.violations.push("the disk of a snapshot changed after its birth".to_owned());
        }
        Ok(())
    }
}

fn checksums(snapshot: &Snapshot) -> Result<Vec<u32>, StressError> {
    snapshot.disks().map(checksum).collect()
}

fn checksum(image: &DiskImage) -> Result<u32, StressError> {
    let disk = image.spawn()?;
    let plan = disk.read_plan(0, storm::SECTORS)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = Vec::new();
    for extent in plan.extents() {
        let len = (extent.sectors * SECTOR_BYTES) as usize;
        buffer.clear();
        buffer.resize(len + ALIGNMENT, 0);
        let start = buffer.as_ptr().align_offset(ALIGNMENT);
        let bytes = &mut buffer[start..start + len];
        if let Place::File { file, offset } = &extent.place {
            file.read_exact_at(bytes, *offset).or_else(ends_early)?;
        }
        hasher.update(bytes);
    }
    Ok(hasher.finalize())
}

/// A sparse file may end before the last sectors that were never written.
fn ends_early(error: std::io::Error) -> Result<(), StressError> {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Ok(()),
        _ => Err(StressError::Read(error)),
    }
}
