//! What an overlay and the files under it are, and what is wrong with them.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::{DiskError, SECTOR_BYTES};
use super::create::{BaseKind, modified_ns};
use super::open::{Raw, read};

/// One file of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// Its name.
    pub path: PathBuf,
    /// What it is.
    pub kind: BaseKind,
    /// Size of the disk in bytes, as this file sees it.
    pub disk_bytes: u64,
    /// Bytes that the file takes on its filesystem.
    pub allocated_bytes: u64,
    /// Bytes of a cluster. Overlays only, like the rest.
    pub cluster_bytes: Option<u64>,
    /// Clusters of which the map says something.
    pub mapped_clusters: usize,
    /// Bytes of the disk that are in this file.
    pub stored_bytes: u64,
    /// Bytes of the disk of which this file says that they are zeroes.
    pub zero_bytes: u64,
    /// Flushes in the log since it was begun.
    pub flushes_in_log: u64,
}

/// A chain from its top to its base, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The files, the topmost first.
    pub layers: Vec<Layer>,
    /// Damage, each with file and place.
    pub damage: Vec<String>,
    /// What is worth knowing and is no damage.
    pub notes: Vec<String>,
}

/// Inspects the overlay at `path` and what lies under it, without changing anything. Damage is
/// reported, not refused.
///
/// # Errors
///
/// When the topmost file is not an overlay, cannot be opened, or is in use.
pub fn inspect(path: &Path) -> Result<Inspection, DiskError> {
    let mut seen = Inspection { layers: Vec::new(), damage: Vec::new(), notes: Vec::new() };
    let mut next = match seen.overlay(path) {
        Err(error @ DiskError::Damaged { .. }) => {
            seen.damage.push(error.to_string());
            None
        }
        below => below?,
    };
    while let Some((path, kind)) = next.take() {
        let below = match kind {
            BaseKind::Raw => seen.raw(&path).map(|()| None),
            BaseKind::Overlay => seen.overlay(&path),
        };
        match below {
            Ok(below) => next = below,
            Err(error) => seen.damage.push(error.to_string()),
        }
    }
    if seen.damage.is_empty()
        && let Err(error) = super::open(path, false, false)
    {
        seen.damage.push(error.to_string());
    }
    Ok(seen)
}

type Below = Option<(PathBuf, BaseKind)>;

impl Inspection {
    fn overlay(&mut self, path: &Path) -> Result<Below, DiskError> {
        let Raw { header, replay, findings, .. } = read(path, false, false)?;
        let name = path.display();
        self.damage.extend(findings.iter().map(|finding| format!("{name}: {finding}")));
        if replay.torn && replay.beyond.is_none() {
            self.notes
                .push(format!("{name}: its last flush was cut off, and had not been acknowledged"));
        }
        let sectors = |masks: u64| masks * SECTOR_BYTES;
        let stored = replay.records.values().flat_map(|record| &record.parts);
        let zero = replay.records.values().map(|record| u64::from(record.zero.count_ones()));
        self.layers.push(Layer {
            path: path.to_owned(),
            kind: BaseKind::Overlay,
            disk_bytes: header.geometry.sectors * SECTOR_BYTES,
            allocated_bytes: allocated_bytes(path)?,
            cluster_bytes: Some(header.geometry.cluster.bytes()),
            mapped_clusters: replay.records.len(),
            stored_bytes: sectors(stored.map(|(_, valid)| u64::from(valid.count_ones())).sum()),
            zero_bytes: sectors(zero.sum()),
            flushes_in_log: replay.batches,
        });
        let Some(base) = header.base else { return Ok(None) };
        if self.layers.iter().any(|layer| layer.path == base.path) {
            self.damage.push(format!("{}: it lies on itself", base.path.display()));
            return Ok(None);
        }
        if modified_ns(&base.path).is_ok_and(|found| found != base.modified_ns) {
            self.notes.push(format!(
                "{}: modified since {name} was made on it: if its bytes have changed, {name} is \
                 worth nothing",
                base.path.display(),
            ));
        }
        Ok(Some((base.path, base.kind)))
    }

    fn raw(&mut self, path: &Path) -> Result<(), DiskError> {
        let base = super::super::base::Base::raw(path, false, false)?;
        let disk_bytes = base.sectors() * SECTOR_BYTES;
        self.layers.push(Layer {
            path: path.to_owned(),
            kind: BaseKind::Raw,
            disk_bytes,
            allocated_bytes: allocated_bytes(path)?,
            cluster_bytes: None,
            mapped_clusters: 0,
            stored_bytes: disk_bytes,
            zero_bytes: 0,
            flushes_in_log: 0,
        });
        Ok(())
    }
}

fn allocated_bytes(path: &Path) -> Result<u64, DiskError> {
    let about = std::fs::metadata(path).map_err(DiskError::open(path))?;
    Ok(about.blocks() * 512)
}
