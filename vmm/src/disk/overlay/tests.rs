//! Files that are damaged, cut off or not what they seem.

use std::path::{Path, PathBuf};

use super::header::Header;
use super::*;
use crate::disk::geometry::{ClusterSize, Geometry};
use crate::disk::{Disk, DiskError, DiskOptions, SECTOR_BYTES};

const LOG_AT: usize = 65536;

struct Home(tempfile::TempDir);

impl Home {
    /// A folder with an overlay of 1 MiB in it, flushed `flushes` times.
    fn new(flushes: u64) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        let new = NewOverlay { size_bytes: Some(1 << 20), ..NewOverlay::default() };
        create(&home.path(), &new).unwrap();
        let disk = Disk::open(&home.path(), false, DiskOptions::default()).unwrap();
        for flush in 0..flushes {
            let ticket = disk.begin_write(flush * 128, 1).unwrap();
            for target in ticket.targets() {
                target.slot.store().file().write(&[7; 512], target.slot.offset(0)).unwrap();
            }
            ticket.complete();
            disk.flush().unwrap();
        }
        home
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("overlay")
    }

    fn edit(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(self.path()).unwrap();
        change(&mut bytes);
        std::fs::write(self.path(), bytes).unwrap();
    }

    fn opened(&self) -> Result<Disk, DiskError> {
        Disk::open(&self.path(), true, DiskOptions::default())
    }

    fn mapped(&self) -> usize {
        self.opened().unwrap().usage().mapped_clusters
    }

    fn damage(&self) -> String {
        inspect(&self.path()).unwrap().damage.join("; ")
    }
}

#[test]
fn a_header_survives_the_file() {
    let base = header::BaseLink {
        kind: BaseKind::Overlay,
        path: "/some/where".into(),
        bytes: 5 << 9,
        modified_ns: 77,
    };
    let geometry = Geometry { sectors: 9, cluster: ClusterSize::from_bytes(8192).unwrap() };
    for base in [None, Some(base)] {
        let header = Header { geometry, id: 0x1234_5678_9abc_def0, base };
        let bytes = header.encode().unwrap();
        assert_eq!(Header::decode(Path::new("it"), &bytes).unwrap(), header);
    }
}

#[test]
fn every_flipped_bit_of_the_header_is_noticed() {
    let home = Home::new(0);
    let bytes = std::fs::read(home.path()).unwrap();
    for bit in 0..4096 * 8 {
        let mut head = bytes[..4096].to_vec();
        head[bit / 8] ^= 1 << (bit % 8);
        assert!(Header::decode(Path::new("it"), &head).is_err(), "bit {bit}");
    }
    let cut = Header::decode(Path::new("it"), &bytes[..4000]).unwrap_err().to_string();
    assert!(cut.contains("ends within its header"), "{cut}");
}

#[test]
fn another_version_says_so_before_anything_else_is_read() {
    let home = Home::new(0);
    home.edit(|bytes| bytes[8] = 9);
    let error = home.opened().unwrap_err();
    assert!(matches!(error, DiskError::Version { found: 9, known: 1, .. }), "{error}");
}

#[test]
fn a_flush_that_was_cut_off_is_none() {
    let home = Home::new(3);
    assert_eq!(home.mapped(), 3);
    home.edit(|bytes| bytes[LOG_AT + 1024 + 60] ^= 1);
    assert_eq!(home.mapped(), 2);
    let inspection = inspect(&home.path()).unwrap();
    assert_eq!((inspection.damage.len(), inspection.notes.len()), (0, 1));
    let disk = Disk::open(&home.path(), false, DiskOptions::default()).unwrap();
    disk.begin_discard(0, 1).unwrap().complete();
    disk.flush().unwrap();
    drop(disk);
    assert_eq!(inspect(&home.path()).unwrap().notes.len(), 0, "the next one takes its place");
}

#[test]
fn a_hole_in_the_log_is_damage() {
    let home = Home::new(3);
    home.edit(|bytes| bytes[LOG_AT + 512 + 60] ^= 1);
    let error = home.opened().unwrap_err().to_string();
    assert!(error.contains("0x10200") && error.contains("disk check"), "{error}");
    assert!(home.damage().contains("batches 1 to 1"), "{}", home.damage());
}

#[test]
fn one_superblock_is_enough_and_none_is_damage() {
    let home = Home::new(1);
    home.edit(|bytes| bytes[0x1000..0x1200].fill(0xff));
    assert_eq!(home.mapped(), 1);
    home.edit(|bytes| bytes[0x2000..0x2200].fill(0xff));
    assert!(home.damage().contains("no valid superblock"), "{}", home.damage());
}

#[test]
fn a_file_that_lost_its_end_is_damaged() {
    let home = Home::new(2);
    let length = home.path().metadata().unwrap().len();
    home.edit(|bytes| bytes.truncate(bytes.len() - 512));
    assert!(home.damage().contains("beyond the end of the file"), "{}", home.damage());
    assert!(home.damage().contains(&format!("{:#x}", length - 512)), "{}", home.damage());
}

#[test]
fn maps_that_contradict_themselves_are_refused() {
    let id = |home: &Home| {
        let bytes = std::fs::read(home.path()).unwrap();
        Header::decode(&home.path(), &bytes[..4096]).unwrap().id
    };
    let record = |zero, parts: &[(u64, u128)]| batch::Record { zero, parts: parts.to_vec() };
    let cases: [(&str, batch::Records); 7] = [
        ("0x10: beyond the end", [(16, record(0, &[]))].into()),
        ("zeroes beyond", [(16, record(1, &[]))].into()),
        ("sectors beyond", [(u64::MAX, record(0, &[(17, 1)]))].into()),
        ("elsewhere too", [(0, record(1, &[(17, 1)]))].into()),
        ("both use it", [(0, record(0, &[(17, 1)])), (1, record(0, &[(17, 2)]))].into()),
        ("not one for clusters", [(0, record(0, &[(3, 1)]))].into()),
        ("beyond the end of the file", [(0, record(0, &[(u64::MAX / 2, 1)]))].into()),
    ];
    for (finding, records) in cases {
        let home = Home::new(0);
        let position = batch::Position { id: id(&home), epoch: 1, number: 0 };
        let batch = batch::encode(position, &records).unwrap();
        home.edit(|bytes| {
            bytes.resize(LOG_AT + (1 << 20) + 65536, 1);
            bytes[LOG_AT..LOG_AT + batch.len()].copy_from_slice(&batch);
        });
        assert!(home.damage().contains(finding), "{finding}: {}", home.damage());
        assert!(matches!(home.opened(), Err(DiskError::Damaged { .. })), "{finding}");
    }
}

#[test]
fn a_base_that_changed_is_noticed() {
    let home = Home::new(0);
    let base = home.0.path().join("base");
    std::fs::write(&base, vec![1; 8192]).unwrap();
    let above = home.0.path().join("above");
    let spec = BaseSpec { path: base.clone(), kind: BaseKind::Raw };
    create(&above, &NewOverlay { base: Some(spec), ..NewOverlay::default() }).unwrap();
    assert_eq!(inspect(&above).unwrap().notes.len(), 0);
    std::fs::write(&base, vec![2; 8192]).unwrap();
    assert_eq!(inspect(&above).unwrap().notes.len(), 1);
    std::fs::write(&base, vec![2; 4096]).unwrap();
    let opened = Disk::open(&above, true, DiskOptions::default());
    assert!(matches!(opened, Err(DiskError::BaseChanged { recorded: 8192, found: 4096, .. })));
    assert_eq!(inspect(&above).unwrap().damage.len(), 1);
    std::fs::remove_file(&base).unwrap();
    assert_eq!(inspect(&above).unwrap().damage.len(), 1);
}

#[test]
fn what_is_there_is_never_overwritten() {
    let home = Home::new(1);
    let before = std::fs::read(home.path()).unwrap();
    let new = NewOverlay { size_bytes: Some(1 << 20), ..NewOverlay::default() };
    assert!(create(&home.path(), &new).is_err());
    assert!(flatten(&home.opened().unwrap(), &home.path(), |_, _| {}).is_err());
    assert_eq!(std::fs::read(home.path()).unwrap(), before);
    let empty = NewOverlay::default();
    assert!(matches!(create(&home.0.path().join("x"), &empty), Err(DiskError::Size { .. })));
    assert_eq!(std::fs::read_dir(home.0.path()).unwrap().count(), 1, "no half-made files");
}

#[test]
fn flattened_it_reads_the_same_and_has_holes() {
    let home = Home::new(2);
    let out = home.0.path().join("flat");
    let mut steps = Vec::new();
    flatten(&home.opened().unwrap(), &out, |done, total| steps.push((done, total))).unwrap();
    assert_eq!(steps, [(1 << 20, 1 << 20)]);
    let mut expected = vec![0; 1 << 20];
    for cluster in 0..2 {
        let at = cluster * 128 * SECTOR_BYTES as usize;
        expected[at..at + 512].fill(7);
    }
    assert_eq!(std::fs::read(&out).unwrap(), expected);
    assert!(std::os::unix::fs::MetadataExt::blocks(&out.metadata().unwrap()) < 64);
}

#[test]
fn flattened_past_the_page_cache_it_reads_the_same() {
    let home = Home::new(2);
    let direct = DiskOptions { direct: true, ..DiskOptions::default() };
    let disk = match Disk::open(&home.path(), true, direct) {
        Ok(disk) => disk,
        // Some filesystems have no such thing, and say so when a file is opened.
        Err(DiskError::Open { source, .. }) => {
            assert_eq!(source.raw_os_error(), Some(libc::EINVAL));
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let [cached, past_it] = ["cached", "past-it"].map(|name| home.0.path().join(name));
    flatten(&home.opened().unwrap(), &cached, |_, _| {}).unwrap();
    flatten(&disk, &past_it, |_, _| {}).unwrap();
    assert!(std::fs::read(&past_it).unwrap() == std::fs::read(&cached).unwrap());
}
