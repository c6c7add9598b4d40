//! What disks refuse, and that they are as before then.

use super::*;

#[test]
fn requests_beyond_the_end() {
    let home = Home::new();
    let disk = home.above(options());
    let refused =
        |result: Result<Ticket, DiskError>| matches!(result, Err(DiskError::Range { .. }));
    assert!(disk.read_plan(SECTORS - 1, 2).is_err());
    assert!(refused(disk.begin_write(SECTORS, 1)));
    assert!(refused(disk.begin_discard(u64::MAX, 2)));
    assert!(disk.settle(SECTORS, 1).is_err());
    assert_eq!((disk.usage().in_flight, disk.usage().live_slots), (0, 0));
    assert!(disk.begin_write(SECTORS, 0).unwrap().extents().is_empty());
}

#[test]
fn writes_to_what_is_only_read() {
    let home = Home::new();
    let disk = Disk::open_raw(&home.path("base"), true, options()).unwrap();
    let child = disk.fork().unwrap();
    for disk in [&disk, &child, &disk.snapshot().unwrap().spawn().unwrap()] {
        assert!(disk.is_read_only());
        assert!(matches!(disk.begin_write(0, 1), Err(DiskError::ReadOnly { .. })));
        assert_eq!(one(disk, 3), Some(1_000_003));
        disk.flush().unwrap();
    }
}

#[test]
fn files_in_use() {
    let home = Home::new();
    let in_use = |result: Result<Disk, DiskError>| matches!(result, Err(DiskError::InUse { .. }));
    let reader = home.above(options());
    let _other = home.above(options());
    assert!(in_use(Disk::open_raw(&home.path("base"), false, options())));
    let child = reader.fork().unwrap();
    drop((reader, _other));
    assert!(in_use(Disk::open_raw(&home.path("base"), false, options())), "a child reads it");
    drop(child);
    let named = home.named("overlay");
    assert!(in_use(Disk::open(&home.path("overlay"), true, options())));
    drop(named);
    home.create("upper", "overlay", BaseKind::Overlay);
    let _upper = open(&home.path("upper"));
    assert!(in_use(Disk::open(&home.path("overlay"), false, options())), "it is a base now");
}

#[test]
fn disks_that_are_not_whole_sectors() {
    let home = Home::new();
    for bytes in [0, 511, 513] {
        std::fs::write(home.path("odd"), vec![0; bytes]).unwrap();
        let opened = Disk::open_raw(&home.path("odd"), true, options());
        assert!(matches!(opened, Err(DiskError::Size { .. })), "{bytes}");
    }
}

#[test]
fn a_fork_without_a_place_for_overlays_changes_nothing() {
    let home = Home::new();
    let options = DiskOptions { scratch: Some(home.path("missing")), ..options() };
    let disk = home.raw(options);
    let held = disk.begin_write(0, 1).unwrap();
    let error = disk.fork().unwrap_err().to_string();
    assert!(error.contains("missing") && error.contains("another folder"), "{error}");
    assert!(disk.snapshot().is_err());
    transfer(&held, &[1]);
    held.complete();
    write(&disk, 1, &[1]);
    assert_eq!(token_of(&home.base_bytes()[512..1024]), 1, "still written in place");
}

#[test]
fn what_a_guest_writes_to_a_raw_disk_never_makes_it_an_overlay() {
    let home = Home::new();
    home.create("forged", "base", BaseKind::Raw);
    let forged = home.path("forged");
    assert!(overlay::begins_like_an_overlay(&forged).unwrap());
    assert!(!overlay::begins_like_an_overlay(&home.path("base")).unwrap());
    home.create("above", "forged", BaseKind::Raw);
    let disk = open(&home.path("above"));
    assert_eq!(disk.size_bytes(), forged.metadata().unwrap().len());
}

#[test]
fn direct_files_keep_alignment() {
    let home = Home::new();
    let disk = match Disk::open_above(&home.path("base"), DiskOptions { direct: true, ..options() })
    {
        Ok(disk) => disk,
        // Some filesystems have no such thing, and say so when a file is opened.
        Err(DiskError::Open { source, .. } | DiskError::Scratch { source, .. }) => {
            assert_eq!(source.raw_os_error(), Some(libc::EINVAL));
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let ticket = disk.begin_write(8, 16).unwrap();
    let extents = ticket.extents().iter().map(|extent| &extent.place);
    assert!(extents.clone().count() > 0);
    for place in extents {
        assert!(matches!(place, Place::File { offset, .. } if offset.is_multiple_of(4096)));
    }
}
