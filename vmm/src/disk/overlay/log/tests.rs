//! A device that takes no more.

use super::*;
use crate::disk::overlay::{NewOverlay, create};
use crate::disk::{Disk, DiskOptions};

/// A file that refuses every write, as a full device does.
fn refusing(path: &std::path::Path) -> Arc<DataFile> {
    Arc::new(DataFile::open(path, false, false).unwrap())
}

#[test]
fn a_map_that_cannot_be_written_fails_the_flush_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("overlay");
    let new = NewOverlay { size_bytes: Some(1 << 20), ..NewOverlay::default() };
    create(&path, &new).unwrap();
    std::fs::write(dir.path().join("full"), [0; 512]).unwrap();
    let disk = Disk::open(&path, false, DiskOptions::default()).unwrap();
    disk.begin_write_zeroes(0, 1).unwrap().complete();
    disk.flush().unwrap();
    let log = disk.shared.log.as_ref().unwrap();
    let device = std::mem::replace(&mut log.lock().file, refusing(&dir.path().join("full")));
    disk.begin_write_zeroes(300, 1).unwrap().complete();
    let error = disk.flush().unwrap_err().to_string();
    assert!(error.contains("writing at offset 0x10200"), "{error}");
    assert!(disk.flush().is_err(), "again, and again");
    assert_eq!(disk.usage().mapped_clusters, 2, "the disk itself goes on");
    log.lock().file = device;
    disk.flush().unwrap();
    drop(disk);
    let disk = Disk::open(&path, false, DiskOptions::default()).unwrap();
    assert_eq!(disk.usage().mapped_clusters, 2);
}

#[test]
fn an_older_flush_does_not_undo_a_newer_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("overlay");
    let new = NewOverlay { size_bytes: Some(1 << 20), ..NewOverlay::default() };
    create(&path, &new).unwrap();
    let disk = Disk::open(&path, false, DiskOptions::default()).unwrap();
    disk.begin_write_zeroes(0, 1).unwrap().complete();
    let older = disk.begin_flush().unwrap();
    disk.begin_write_zeroes(0, 9).unwrap().complete();
    disk.begin_flush().unwrap().finish().unwrap();
    older.finish().unwrap();
    assert!(disk.begin_flush().unwrap().capture.is_none());
    drop(disk);
    let disk = Disk::open(&path, false, DiskOptions::default()).unwrap();
    assert_eq!(disk.shared.state.lock().map.get(0).unwrap().zero, (1 << 9) - 1);
}
