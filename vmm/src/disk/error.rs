//! Why a disk could not be opened, read, written, forked or made durable.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a disk refused. Nothing that is on it has changed.
#[derive(Debug, Error)]
pub enum DiskError {
    /// A file could not be opened or made.
    #[error("{}: cannot be opened: {source}: check the path, and who may use it", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A read, write or sync of pincow's own failed.
    #[error(
        "{}: {doing} at offset {offset:#x} failed: {source}: check the space and the health of \
         its filesystem",
        path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// Where in the file, in bytes.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// There is no place for an unnamed overlay.
    #[error(
        "{}: no temporary overlay can be made there: {source}: name another folder for temporary \
         overlays",
        dir.display()
    )]
    Scratch {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A disk consists of whole sectors.
    #[error(
        "{}: a disk of {bytes:#x} bytes: give it a size that is a multiple of 512, above 0 and of at \
         most 2^32 clusters",
        path.display()
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
    },
    /// A cluster size that no map can have.
    #[error("clusters of {bytes:#x} bytes: choose a power of two from 4 KiB to 64 KiB")]
    Cluster {
        /// What was asked for.
        bytes: u64,
    },
    /// Another disk writes the file, or this one wants to write what others read.
    #[error(
        "{}: it is in use by another disk: stop that one, or open this one for reading only",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A file of another kind.
    #[error(
        "{}: it is not an overlay (no magic at offset 0x0): if it is a raw disk, name it as one",
        path.display()
    )]
    NotAnOverlay {
        /// The file.
        path: PathBuf,
    },
    /// A raw disk whose bytes say that it is an overlay: whoever writes the disk could say so.
    #[error(
        "{}: it begins like an overlay: say whether its format is raw or overlay",
        path.display()
    )]
    Ambiguous {
        /// The file.
        path: PathBuf,
    },
    /// An overlay of another version.
    #[error(
        "{}: its format is version {found}, and this pincow knows version {known}: use the \
         pincow that made it to flatten it",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// What its header says.
        found: u32,
        /// What there is code for.
        known: u32,
    },
    /// An overlay that contradicts itself.
    #[error(
        "{}: damaged: {finding}: see what else with `pincow disk check`, and restore it from a \
         copy",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What and where.
        finding: String,
    },
    /// A base that is not what the overlay was made for.
    #[error(
        "{}: it has {found:#x} bytes, and {} was made on {recorded:#x}: put the old base back",
        base.display(), path.display()
    )]
    BaseChanged {
        /// The overlay.
        path: PathBuf,
        /// Its base.
        base: PathBuf,
        /// Size of the base in bytes when the overlay was made.
        recorded: u64,
        /// Its size now.
        found: u64,
    },
    /// Overlays upon overlays, or a circle of them.
    #[error("{}: more than {limit} overlays upon each other: flatten one of them", path.display())]
    Depth {
        /// The overlay at which the count ran out.
        path: PathBuf,
        /// The most there may be.
        limit: usize,
    },
    /// A request that is not within the disk.
    #[error(
        "sectors {first:#x} to {first:#x}+{count:#x} on a disk of {sectors:#x}: stay within it"
    )]
    Range {
        /// First sector of the request.
        first: u64,
        /// How many it wants.
        count: u64,
        /// How many the disk has.
        sectors: u64,
    },
    /// A write to a disk that is only read.
    #[error("{}: it was opened for reading only: open it for writing", path.display())]
    ReadOnly {
        /// Its base or overlay.
        path: PathBuf,
    },
    /// No slot is left.
    #[error("{}: an overlay cannot grow beyond {limit:#x} bytes: flatten it", path.display())]
    Full {
        /// The overlay.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// A sync failed, so that nobody knows what the device holds.
    #[error(
        "{}: an earlier sync failed, so nothing on it can be promised any more: check the \
         device, then open the disk again",
        path.display()
    )]
    SyncFailed {
        /// The file.
        path: PathBuf,
    },
}

impl DiskError {
    /// An adapter for `map_err`: opening `path` failed.
    pub(super) fn open(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Open { path: path.to_owned(), source }
    }

    /// An adapter for `map_err`: `doing` something at `offset` failed.
    pub(super) fn io(
        path: &Path,
        doing: &'static str,
        offset: u64,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), doing, offset, source }
    }

    /// `path` contradicts itself.
    pub(super) fn damaged(path: &Path, finding: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), finding: finding.into() }
    }
}
