//! New overlays.

use std::hash::{BuildHasher, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::Serialize;

use super::super::base::Base;
use super::super::file::DataFile;
use super::super::geometry::Geometry;
use super::super::{ClusterSize, DiskError, SECTOR_BYTES};
use super::header::{BaseLink, Header, MAGIC, RESERVED_BYTES};
use super::log::LOG_BYTES;
use super::superblock::Superblock;
use super::written_beside::WrittenBeside;

/// What a base is. An overlay names it, so that nobody has to guess from bytes that a guest wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BaseKind {
    /// The bytes of the disk as they are.
    Raw,
    /// Another overlay.
    Overlay,
}

impl BaseKind {
    pub(super) fn code(self) -> u32 {
        match self {
            Self::Raw => 1,
            Self::Overlay => 2,
        }
    }

    pub(super) fn from_code(code: u32) -> Option<Self> {
        [Self::Raw, Self::Overlay].into_iter().find(|kind| kind.code() == code)
    }
}

/// A base to put an overlay on.
#[derive(Clone, Debug)]
pub struct BaseSpec {
    /// Its file.
    pub path: PathBuf,
    /// What it is.
    pub kind: BaseKind,
}

/// An overlay to be made.
#[derive(Clone, Debug, Default)]
pub struct NewOverlay {
    /// What it lies on. `None`: zeroes.
    pub base: Option<BaseSpec>,
    /// Its size in bytes. `None`: that of its base.
    pub size_bytes: Option<u64>,
    /// Its clusters. Above another overlay, they are those of the other.
    pub cluster: ClusterSize,
}

/// Whether the file begins with the magic of an overlay. A guest can write that to a raw disk.
///
/// # Errors
///
/// [`DiskError::Open`].
pub fn begins_like_an_overlay(path: &Path) -> Result<bool, DiskError> {
    let mut head = Vec::new();
    let opened = std::fs::File::open(path);
    let read = opened.and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut head));
    read.map_err(DiskError::open(path))?;
    Ok(head == MAGIC)
}

/// Makes an overlay that says nothing yet. It is whole, or it is not there.
///
/// # Errors
///
/// When the base cannot be opened, the size is not one, or there is a file of that name already.
pub fn create(path: &Path, new: &NewOverlay) -> Result<(), DiskError> {
    let (link, cluster) = match &new.base {
        Some(base) => {
            let (link, cluster) = link(base, new.cluster)?;
            (Some(link), cluster)
        }
        None => (None, new.cluster),
    };
    let least = link.as_ref().map_or(0, |link| link.bytes);
    let bytes = new.size_bytes.unwrap_or(least);
    let geometry = Geometry { sectors: bytes / SECTOR_BYTES, cluster };
    if bytes < least || !bytes.is_multiple_of(SECTOR_BYTES) || !geometry.is_sound() {
        return Err(DiskError::Size { path: path.to_owned(), bytes });
    }
    let header = Header { geometry, id: random(), base: link };
    let name_too_long = || DiskError::open(path)(std::io::ErrorKind::InvalidFilename.into());
    let head = header.encode().ok_or_else(name_too_long)?;
    let file = WrittenBeside::new(path)?;
    file.set_size(RESERVED_BYTES + LOG_BYTES)?;
    let data = DataFile::open(file.path(), true, false)?;
    data.write(&head, 0)?;
    let slots = LOG_BYTES / cluster.bytes();
    Superblock { epoch: 1, first: header.first_slot(), slots }.write(&data, header.id)?;
    drop(data);
    file.publish()
}

fn link(base: &BaseSpec, cluster: ClusterSize) -> Result<(BaseLink, ClusterSize), DiskError> {
    let path = base.path.canonicalize().map_err(DiskError::open(&base.path))?;
    let (bytes, cluster) = match base.kind {
        BaseKind::Raw => (Base::raw(&path, false, false)?.sectors() * SECTOR_BYTES, cluster),
        BaseKind::Overlay => {
            let below = super::open(&path, false, false)?;
            (below.geometry.sectors * SECTOR_BYTES, below.geometry.cluster)
        }
    };
    let modified_ns = modified_ns(&path)?;
    Ok((BaseLink { kind: base.kind, path, bytes, modified_ns }, cluster))
}

/// When a file was last modified, in nanoseconds since 1970.
pub(super) fn modified_ns(path: &Path) -> Result<u64, DiskError> {
    let modified = std::fs::metadata(path).and_then(|about| about.modified());
    let since = modified.map_err(DiskError::open(path))?.duration_since(UNIX_EPOCH);
    Ok(since.map_or(0, |since| since.as_nanos() as u64))
}

/// A number that no other overlay has.
fn random() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}
