//! The demo's disk: a file that has lost its name, on a disk that can be slow.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::STORM;
use crate::demo::DemoError;
use crate::disk::{Disk, DiskOptions, SECTOR_BYTES};
use crate::guest::{DiskConfig, MakeEngine, PinMode};
use crate::io::{Held, HeldControl, Uring, UringError};
use crate::virtio::blk::BlkOptions;

/// For how long transfers are held back where the disk is too fast.
pub(super) const HELD_BACK: Duration = Duration::from_millis(2);

/// The queue, in entries: room for the storm.
const QUEUE_SIZE: u16 = 64;

/// Makes the disk of all guests slow, those included that are still to come.
#[derive(Clone, Default)]
pub(super) struct Slowness(Arc<Mutex<Engines>>);

#[derive(Default)]
struct Engines {
    held_back: bool,
    controls: Vec<HeldControl>,
}

impl Slowness {
    /// From now on transfers are held back. `false` if they were before.
    pub(super) fn hold_back(&self) -> bool {
        let mut engines = self.0.lock();
        engines.controls.iter().for_each(|control| control.delay(HELD_BACK));
        !std::mem::replace(&mut engines.held_back, true)
    }

    /// io_uring, as fast as it is until somebody wants it slow.
    fn engine(&self) -> MakeEngine {
        let engines = Arc::clone(&self.0);
        Arc::new(move |entries| {
            let failed = |source| UringError { operation: "eventfd", entries, source };
            let held = Held::new(Uring::new(entries)?).map_err(failed)?;
            let mut engines = engines.lock();
            if engines.held_back {
                held.control().delay(HELD_BACK);
            }
            engines.controls.push(held.control());
            Ok(Box::new(held))
        })
    }
}

/// A disk of zeros in a folder for temporary files: past the page cache if there is one where that
/// works, else through it in the first where a file can be made.
pub(super) fn make(slowness: &Slowness) -> Result<DiskConfig, DemoError> {
    let folders = [std::env::temp_dir(), PathBuf::from("/var/tmp"), PathBuf::from(".")];
    let ways =
        [true, false].into_iter().flat_map(|direct| folders.iter().map(move |it| (it, direct)));
    let mut failure = None;
    for (folder, direct) in ways {
        match open(folder, direct) {
            Ok(disk) => {
                let options = BlkOptions { queue_size: QUEUE_SIZE, ..BlkOptions::default() };
                let (engine, pins) = (slowness.engine(), PinMode::Rules);
                return Ok(DiskConfig { disk, direct, options, engine, pins });
            }
            Err(reason) => failure = failure.or(Some((folder, reason))),
        }
    }
    let (folder, reason) =
        failure.map_or_else(Default::default, |(folder, reason)| (folder.clone(), reason));
    Err(DemoError::Disk { folder, reason })
}

/// The file goes with the process, however that ends. It is not written: all that guests write is in
/// overlays.
fn open(folder: &Path, direct: bool) -> Result<Disk, String> {
    let path = folder.join(format!("pincow-demo-{}.raw", std::process::id()));
    let file = File::create_new(&path).map_err(|error| error.to_string())?;
    let made = file.set_len(STORM.sectors * SECTOR_BYTES).map_err(|error| error.to_string());
    let options = DiskOptions { direct, ..DiskOptions::default() };
    let opened =
        made.and_then(|()| Disk::open_above(&path, options).map_err(|error| error.to_string()));
    std::fs::remove_file(&path).map_err(|error| error.to_string())?;
    opened
}
