//! The disk of a scenario's guests, and which of its sectors a request is about.

use std::fs::{self, File};
use std::path::Path;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pincow_mmu::PAGE_SIZE;
use pincow_mmu::rules::Direction;
use pincow_mmu::scenario::{SECTOR_A, SECTOR_BYTES};

use super::desk::Desk;
use super::{LabError, QUEUE_SIZE};
use crate::disk::{Disk, DiskOptions};
use crate::guest::{DiskConfig, MakeEngine, PinMode};
use crate::io::UringError;
use crate::virtio::blk::BlkOptions;

/// Sectors of a page.
const SECTORS: u64 = (PAGE_SIZE / SECTOR_BYTES) as u64;

/// Pages on a disk for requests in each direction. What devices bring and what they take away lie in
/// halves of their own, so that a stamp is put only where no guest ever wrote.
const PLACES: u64 = QUEUE_SIZE as u64;

/// Tells the files of labs in one process apart.
static FILES: AtomicU64 = AtomicU64::new(0);

/// A disk of zeros without a name, whose transfers come to `desk`.
pub(super) fn make(folder: &Path, desk: &Desk) -> Result<DiskConfig, LabError> {
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("pincow-rules-{}-{number}.raw", process::id()));
    let failed = |source| LabError::File { path: path.clone(), source };
    let file = File::create_new(&path).map_err(failed)?;
    let made = file.set_len(2 * PLACES * PAGE_SIZE as u64).map_err(failed);
    let opened = made.and_then(|()| {
        let open = |direct| {
            let options = DiskOptions { direct, ..DiskOptions::default() };
            Disk::open_raw(&path, false, options).map(|disk| (disk, direct))
        };
        Ok(open(true).or_else(|_| open(false))?)
    });
    // It stays open, and goes with the guests.
    fs::remove_file(&path).map_err(failed)?;
    let (disk, direct) = opened?;
    let options = BlkOptions { queue_size: QUEUE_SIZE, ..BlkOptions::default() };
    let desk = desk.clone();
    let engine: MakeEngine = Arc::new(move |entries| {
        let failed = |source| UringError { operation: "eventfd", entries, source };
        Ok(Box::new(desk.engine().map_err(failed)?))
    });
    Ok(DiskConfig { disk, direct, options, engine, pins: PinMode::Rules })
}

/// The first sector of request number `number`.
pub(super) fn sector(number: u64, direction: Direction) -> u64 {
    let place = number % PLACES;
    match direction {
        Direction::ToDevice => place * SECTORS,
        Direction::FromDevice => (PLACES + place) * SECTORS + (SECTOR_A / SECTOR_BYTES) as u64,
    }
}
