//! The file that a benchmark of transfers works on.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use pincow_guest_protocol::load::content;
use pincow_mmu::host::{HostFeatures, MemoryError};

use super::BenchError;
use crate::disk::{Disk, DiskError, DiskOptions, SECTOR_BYTES};
use crate::guest::BackingKind;

/// Where the choices of all loads come from.
pub(super) const SEED: u64 = 20;

/// A file without a name, all of whose sectors are there: nothing is allocated while it is used.
pub(super) struct DiskFile {
    path: PathBuf,
    pub(super) plain: File,
    sectors: u64,
    /// Transfers go past the page cache.
    pub(super) direct: bool,
    /// For transfers beside those of the disk.
    pub(super) file: File,
}

impl DiskFile {
    /// Makes a file of `sectors` sectors in `folder`, each of which holds what a load finds there
    /// originally, and opens it with `open`. It is for guests on `backing`.
    pub(super) fn new(
        backing: BackingKind,
        folder: &Path,
        sectors: u64,
        open: impl Fn(&Path, DiskOptions) -> Result<Disk, DiskError>,
    ) -> Result<(Self, Disk), BenchError> {
        // What the host lacks altogether is said before anything is made.
        HostFeatures::probe().require(backing.into()).map_err(MemoryError::from)?;
        static FILES: AtomicU64 = AtomicU64::new(0);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let name = format!("pincow-bench-{}-{number}.raw", std::process::id());
        let path = folder.join(name);
        let failed = |source| BenchError::File { path: path.clone(), source };
        let plain = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(failed)?;
        let made = fill(&plain, sectors).map_err(failed).and_then(|()| {
            let past_the_cache = for_transfers(&path, libc::O_DIRECT);
            let direct = past_the_cache.is_ok();
            let file = past_the_cache.or_else(|_| for_transfers(&path, 0)).map_err(failed)?;
            let disk = open(&path, DiskOptions { direct, ..DiskOptions::default() })?;
            Ok((direct, file, disk))
        });
        // It stays open, and goes with the process, however that ends.
        std::fs::remove_file(&path).map_err(failed)?;
        let (direct, file, disk) = made?;
        Ok((Self { path, plain, sectors, direct, file }, disk))
    }

    /// All sectors hold again what they held originally. Nothing may be in flight.
    pub(super) fn refill(&self) -> Result<(), BenchError> {
        let failed = |source| BenchError::File { path: self.path.clone(), source };
        fill(&self.plain, self.sectors).map_err(failed)
    }
}

fn for_transfers(path: &Path, flags: i32) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
}

fn fill(mut file: &File, sectors: u64) -> io::Result<()> {
    file.rewind()?;
    let mut to = BufWriter::with_capacity(1 << 20, file);
    let mut bytes = [0; SECTOR_BYTES as usize];
    for sector in 0..sectors {
        let words = content::sector_words(SEED, content::original(SEED), sector);
        for (place, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        to.write_all(&bytes)?;
    }
    to.flush()?;
    file.sync_all()
}
