//! The disks of the first guest, and how the controls change them.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::late::{Lateness, late};
use super::{Control, Plan, StressError, storm};
use crate::disk::{Disk, DiskOptions, SECTOR_BYTES};
use crate::guest::{DiskConfig, PinMode, uring};
use crate::virtio::blk::BlkOptions;

/// One of so many transfers is late, where some are: then most of those in flight are among them.
const LATE_EVERY: u64 = 8;

/// A disk for each vCPU: zeros, which nobody writes but through overlays. Nothing of them has a name
/// when this returns, so they go with the process, however it ends.
pub(super) fn make(plan: &Plan) -> Result<Vec<DiskConfig>, StressError> {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let name = format!("pincow-stress-{}-{number}.raw", std::process::id());
    let path = plan.folder.join(name);
    let failed = |source| StressError::File { path: path.clone(), source };
    let file = File::create_new(&path).map_err(failed)?;
    let made = file.set_len(storm::SECTORS * SECTOR_BYTES).map_err(failed);
    let disks = made.and_then(|()| (0..plan.vcpus).map(|_| config(plan, &path)).collect());
    std::fs::remove_file(&path).map_err(failed)?;
    disks
}

fn config(plan: &Plan, path: &Path) -> Result<DiskConfig, StressError> {
    let visible_at_submission = plan.control == Some(Control::MapAtSubmission);
    let open = |direct| {
        let options = DiskOptions { direct, visible_at_submission, ..DiskOptions::default() };
        Disk::open_above(path, options).map(|disk| (disk, direct))
    };
    let (disk, direct) = open(true).or_else(|_| open(false))?;
    let options = BlkOptions { queue_size: storm::QUEUE_SIZE, ..BlkOptions::default() };
    let pins = match plan.control {
        Some(Control::UnpinAtSubmission) => PinMode::LetGoAtOnce,
        Some(Control::PinWithoutBreakingCow) => PinMode::AsItIs,
        _ => PinMode::Rules,
    };
    let every = match plan.control {
        // Whoever reads a snapshot at once finds that writes in flight are not there yet.
        Some(Control::MapAtSubmission) => 1,
        _ => LATE_EVERY,
    };
    let engine = plan.late_by().map_or_else(uring, |by| late(Lateness { every, by }));
    Ok(DiskConfig { disk, direct, options, engine, pins })
}
