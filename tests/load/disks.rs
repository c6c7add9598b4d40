//! The disks of a guest under load, and how they are looked at from outside.

use std::path::{Path, PathBuf};
use std::process::Command;

use pincow_vmm::disk::{Disk, DiskOptions, overlay};
use pincow_vmm::guest::{DiskConfig, PinMode, uring};
use pincow_vmm::virtio::blk::BlkOptions;
use tempfile::TempDir;

use super::lab::Lab;
use super::pace::Pace;

/// Bytes of the disk that is worked on.
const WORK_BYTES: u64 = 32 << 20;

/// The root file system.
pub(crate) fn root(lab: &Lab) -> PathBuf {
    lab.images.join("rootfs.ext4")
}

/// A new file of zeroes for the disk that is worked on.
pub(crate) fn work_file(folder: &Path) -> PathBuf {
    let path = folder.join("work");
    let file = std::fs::File::create(&path).expect("a file");
    file.set_len(WORK_BYTES).expect("room");
    path
}

/// The root, which is only read, and a disk to work on that ends with its guest.
pub(crate) fn temporary(lab: &Lab, folder: &Path, pace: &Pace) -> Vec<DiskConfig> {
    let options =
        DiskOptions { direct: true, scratch: Some(folder.to_owned()), ..DiskOptions::default() };
    let root = Disk::open_raw(&root(lab), true, options.clone());
    let work = Disk::open_above(&work_file(folder), options);
    configs([root, work].map(|disk| disk.unwrap_or_else(|error| panic!("{error}"))), pace)
}

/// Both disks are read and written past the page cache; the one that is worked on takes its time.
pub(crate) fn configs([root, work]: [Disk; 2], pace: &Pace) -> Vec<DiskConfig> {
    let config = |disk, engine| {
        // Small transfers are as good as large ones.
        let options = BlkOptions { physical_block_exponent: 0, ..BlkOptions::default() };
        DiskConfig { disk, direct: true, options, engine, pins: PinMode::Rules }
    };
    vec![config(root, uring()), config(work, pace.engine())]
}

/// What `e2fsck -fn` finds on a disk after a clean shutdown, where there is something. A journal that is
/// still to be replayed is such a thing. A disk that cannot be written is as it was.
pub(crate) fn check(disk: &Disk) -> Option<String> {
    if disk.is_read_only() {
        return None;
    }
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let flat = folder.path().join("flat");
    if let Err(error) = overlay::flatten(disk, &flat, |_, _| {}) {
        return Some(error.to_string());
    }
    e2fsck(&["-fn"], &flat)
}

/// What e2fsck finds, if its status is not 0 or it has something to say against the file system.
pub(crate) fn e2fsck(options: &[&str], file: &Path) -> Option<String> {
    let ran = Command::new("e2fsck").args(options).arg(file).output().expect("e2fsck is there");
    let said = [ran.stdout, ran.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    let said = said.concat();
    let fine = ran.status.success() && !said.contains("skipping journal recovery");
    (!fine).then(|| format!("e2fsck {options:?}: {}: {said}", ran.status))
}
