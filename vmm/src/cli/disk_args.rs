//! The disks of a guest, as people write them: `PATH`, `PATH,ro`, `PATH,temporary`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::Failure;
use crate::disk::{Disk, DiskError, DiskOptions, overlay};
use crate::guest::{DiskConfig, PinMode, uring};
use crate::virtio::blk::{BlkOptions, Policy};

#[cfg(test)]
mod tests;

/// What becomes of what a guest writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// It goes to the file: in place, or into the overlay that the file is.
    Kept,
    /// Writes fail.
    ReadOnly,
    /// It ends with the process. The file is never written.
    Temporary,
}

/// A disk, as people write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DiskArg {
    path: PathBuf,
    mode: Mode,
}

/// A disk that nobody understands.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a disk: write PATH, PATH,ro or PATH,temporary")]
pub(super) struct NotADisk(String);

impl FromStr for DiskArg {
    type Err = NotADisk;

    fn from_str(text: &str) -> Result<Self, NotADisk> {
        let (path, mode) = match text.rsplit_once(',') {
            None => (text, Mode::Kept),
            Some((path, "ro")) => (path, Mode::ReadOnly),
            Some((path, "temporary")) => (path, Mode::Temporary),
            Some(_) => return Err(NotADisk(text.to_owned())),
        };
        if path.is_empty() {
            return Err(NotADisk(text.to_owned()));
        }
        Ok(Self { path: path.into(), mode })
    }
}

impl DiskArg {
    /// Opens it: past the page cache where its file system allows that.
    fn open(&self) -> Result<DiskConfig, Failure> {
        let (disk, direct) = match self.open_as(true) {
            Ok(disk) => (disk, true),
            Err(_) => (self.open_as(false)?, false),
        };
        let id = self
            .path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let options = BlkOptions { id, ..BlkOptions::default() };
        Ok(DiskConfig { disk, direct, options, engine: uring(), pins: PinMode::Rules })
    }

    fn open_as(&self, direct: bool) -> Result<Disk, DiskError> {
        let options = DiskOptions { direct, ..DiskOptions::default() };
        let path: &Path = &self.path;
        let read_only = self.mode == Mode::ReadOnly;
        match self.mode {
            Mode::Temporary => Disk::open_above(path, options),
            _ if overlay::begins_like_an_overlay(path)? => Disk::open(path, read_only, options),
            _ => Disk::open_raw(path, read_only, options),
        }
    }
}

/// The options of a guest's disks.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct DiskArgs {
    /// A disk for the guest: PATH is a raw file or block device, written in place, or an overlay
    /// (`pincow disk create`); with `,ro` it is not written, with `,temporary` what is written ends
    /// with the process. May be given several times.
    #[arg(long = "disk", value_name = "PATH[,ro|,temporary]")]
    disks: Vec<DiskArg>,

    /// What becomes of disk requests that are in flight when the guest is forked, in the child: it
    /// issues them again, they fail, or the fork waits for them first.
    #[arg(long, value_enum, default_value_t = Inflight::Reissue, value_name = "POLICY")]
    inflight: Inflight,
}

/// [`Policy`], as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Inflight {
    /// The child issues them again, against its own disk.
    Reissue,
    /// They fail in the child with an I/O error.
    Error,
    /// The fork waits for them, for five seconds at most.
    Drain,
}

impl DiskArgs {
    /// Opens the disks, in order.
    pub(super) fn open(&self) -> Result<Vec<DiskConfig>, Failure> {
        self.disks.iter().map(DiskArg::open).collect()
    }

    /// What becomes of requests in flight.
    pub(super) fn policy(&self) -> Policy {
        self.inflight.into()
    }
}

impl From<Inflight> for Policy {
    fn from(inflight: Inflight) -> Self {
        match inflight {
            Inflight::Reissue => Self::Reissue,
            Inflight::Error => Self::Error,
            Inflight::Drain => Self::Drain,
        }
    }
}
