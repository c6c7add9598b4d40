//! One raw file out of a chain.

use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::{Disk, DiskError, Place, SECTOR_BYTES};
use super::written_beside::WrittenBeside;

/// Sectors per step: 1 MiB.
const STEP: u64 = 2048;

/// What files that are read past the page cache want of the memory that is read to, in bytes.
const ALIGNED: usize = 4096;

/// Zeroes of this many bytes in a row become a hole.
const HOLE: usize = 4096;

/// Writes what `disk` reads to a new raw file, with holes for zeroes. The file is whole, or it is
/// not there. `progress` is told bytes done and bytes in all, step by step.
///
/// # Errors
///
/// When a read or write fails, a sector is unreadable, or there is a file of that name already.
pub fn flatten(
    disk: &Disk,
    out: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<(), DiskError> {
    let total = disk.size_bytes();
    let file = WrittenBeside::new(out)?;
    file.set_size(total)?;
    let mut first = 0;
    while first < total / SECTOR_BYTES {
        let count = STEP.min(total / SECTOR_BYTES - first);
        copy(disk, first, count, &file)?;
        first += count;
        progress(first * SECTOR_BYTES, total);
    }
    file.publish()
}

fn copy(disk: &Disk, first: u64, count: u64, out: &WrittenBeside) -> Result<(), DiskError> {
    let plan = disk.read_plan(first, count)?;
    let mut at = first * SECTOR_BYTES;
    for extent in plan.extents() {
        let length = extent.sectors * SECTOR_BYTES;
        match &extent.place {
            Place::Zeroes => {}
            Place::Unreadable => {
                let source = std::io::Error::other("a write there was in flight at the fork");
                return Err(DiskError::io(out.path(), "copying", at)(source));
            }
            Place::File { file, offset } => {
                let mut memory = vec![0; length as usize + ALIGNED];
                let begin = memory.as_ptr().align_offset(ALIGNED);
                let bytes = &mut memory[begin..][..length as usize];
                let failed = DiskError::io(out.path(), "reading for it what is", at);
                file.read_exact_at(bytes, *offset).map_err(failed)?;
                write(out, bytes, at)?;
            }
        }
        at += length;
    }
    Ok(())
}

fn write(out: &WrittenBeside, bytes: &[u8], at: u64) -> Result<(), DiskError> {
    for (number, piece) in bytes.chunks(HOLE).enumerate() {
        if piece.iter().any(|byte| *byte != 0) {
            let at = at + (number * HOLE) as u64;
            let failed = DiskError::io(out.path(), "writing", at);
            out.file().write_all_at(piece, at).map_err(failed)?;
        }
    }
    Ok(())
}
