//! What a disk holds, read by the monitor.

use std::os::unix::fs::FileExt;
use std::thread;

use super::StressError;
use crate::disk::{Disk, Extent, Place, SECTOR_BYTES};

/// What files opened with `O_DIRECT` may want of buffers, in bytes.
const ALIGNMENT: usize = 4096;

/// How many threads read at the same time. What guests wrote is in many small pieces, and busy vCPUs
/// keep a thread that has waited for one from its CPU for longer than the disk took.
const READERS: usize = 8;

type Sector = [u8; SECTOR_BYTES as usize];

/// The bytes of sectors in a row; those that cannot be read are missing.
pub(super) struct Sectors(Vec<Option<Sector>>);

impl Sectors {
    /// Reads the first `count` sectors of a disk.
    ///
    /// # Errors
    /// When a file of the disk cannot be read.
    pub(super) fn read(disk: &Disk, count: u64) -> Result<Self, StressError> {
        let plan = disk.read_plan(0, count)?;
        let extents = plan.extents();
        let parts = extents.chunks(extents.len().div_ceil(READERS).max(1));
        let read = thread::scope(|scope| {
            let readers: Vec<_> =
                parts.map(|extents| scope.spawn(|| read_extents(extents))).collect();
            // A panic has been reported, and is passed on by the scope.
            let joined = readers.into_iter().filter_map(|reader| reader.join().ok());
            joined.collect::<Result<Vec<_>, _>>()
        })?;
        let sectors = read.concat();
        Ok(Self(sectors))
    }

    /// The bytes of each, from the first on.
    pub(super) fn iter(&self) -> impl Iterator<Item = Option<&Sector>> {
        self.0.iter().map(Option::as_ref)
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// A checksum over all bytes.
    pub(super) fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for sector in &self.0 {
            hasher.update(sector.as_ref().map_or(&[], |bytes| bytes));
        }
        hasher.finalize()
    }
}

fn read_extents(extents: &[Extent]) -> Result<Vec<Option<Sector>>, StressError> {
    let mut sectors = Vec::new();
    let mut buffer = Vec::new();
    for extent in extents {
        let len = (extent.sectors * SECTOR_BYTES) as usize;
        buffer.clear();
        buffer.resize(len + ALIGNMENT, 0);
        let start = buffer.as_ptr().align_offset(ALIGNMENT);
        let bytes = &mut buffer[start..start + len];
        if let Place::File { file, offset } = &extent.place {
            let failed = |source| StressError::Read { offset: *offset, source };
            file.read_exact_at(bytes, *offset).or_else(ends_early).map_err(failed)?;
        }
        let (read, _) = bytes.as_chunks();
        let readable = !matches!(extent.place, Place::Unreadable);
        sectors.extend(read.iter().map(|sector| readable.then_some(*sector)));
    }
    Ok(sectors)
}

/// A sparse file may end before the last sectors that were never written.
fn ends_early(error: std::io::Error) -> std::io::Result<()> {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Ok(()),
        _ => Err(error),
    }
}
