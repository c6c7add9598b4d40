//! Flushes step by step, as an engine carries them out: what a kill between any two of them leaves.

use super::overlay::inspect;
use super::*;

/// Clusters whose records fill more than half of a new log, which has 1 MiB: 32 bytes each.
const MANY: u64 = 20_000;
const CLUSTER_SECTORS: u64 = 128;

/// An overlay of many clusters, none of which is stored, and no base.
fn large(home: &Home) -> Disk {
    let size_bytes = Some(MANY * CLUSTER_SECTORS * SECTOR_BYTES);
    overlay::create(&home.path("large"), &NewOverlay { size_bytes, ..NewOverlay::default() })
        .unwrap();
    Disk::open(&home.path("large"), false, DiskOptions::default()).unwrap()
}

/// One sector of every cluster becomes zeros.
fn clear_everywhere(disk: &Disk, within: u64) {
    for cluster in 0..MANY {
        disk.begin_write_zeroes(cluster * CLUSTER_SECTORS + within, 1).unwrap().complete();
    }
}

/// How many clusters a process finds that comes after a kill, and how many flushes in the log.
fn after_kill(home: &Home) -> (usize, u64) {
    let copy = home.path("copy");
    std::fs::copy(home.path("large"), &copy).unwrap();
    let layer = inspect(&copy).unwrap().layers.remove(0);
    let disk = Disk::open(&copy, false, DiskOptions::default()).unwrap();
    (disk.usage().mapped_clusters, layer.flushes_in_log)
}

#[test]
fn nothing_is_there_before_its_batch_is_and_a_dropped_flush_is_made_up_for() {
    let home = Home::new();
    let disk = home.named("overlay");
    let found = || {
        std::fs::copy(home.path("overlay"), home.path("copy")).unwrap();
        one(&open(&home.path("copy")), 7)
    };
    write(&disk, 7, &[1]);
    for steps in 0..2 {
        let mut flush = disk.begin_flush().unwrap();
        for _ in 0..steps {
            flush = more(flush);
        }
        assert_eq!(found(), Some(1_000_007), "after {steps} steps");
        drop(flush);
    }
    // Files, batch, sync of the batch: that is all. A batch that was written is there, though nobody
    // may rely on it.
    drop(more(more(disk.begin_flush().unwrap())));
    assert_eq!(found(), Some(1));
    let flush = more(more(disk.begin_flush().unwrap()));
    assert!(matches!(step(flush), FlushProgress::Durable));
    assert!(matches!(step(disk.begin_flush().unwrap()), FlushProgress::Durable), "nothing is left");
}

#[test]
fn flushes_take_turns_at_the_log() {
    let home = Home::new();
    let disk = home.named("overlay");
    write(&disk, 0, &[1]);
    let first = more(disk.begin_flush().unwrap());
    write(&disk, 9, &[2]);
    let second = disk.begin_flush().unwrap();
    let FlushProgress::Busy(second) = step(second) else { panic!("the log is in use") };
    let first = more(first);
    let FlushProgress::Busy(second) = second.done().unwrap() else { panic!("still") };
    assert!(matches!(step(first), FlushProgress::Durable));
    let FlushProgress::More(second) = second.done().unwrap() else { panic!("its turn") };
    assert!(matches!(step(more(second)), FlushProgress::Durable));
    // One that waits goes on when the other was given up, or was failed.
    for give_up in [drop, Flush::fail] {
        write(&disk, 3, &[3]);
        let first = more(disk.begin_flush().unwrap());
        let FlushProgress::Busy(second) = step(disk.begin_flush().unwrap()) else { panic!() };
        give_up(first);
        let FlushProgress::More(second) = second.done().unwrap() else { panic!("its turn") };
        assert!(matches!(step(more(second)), FlushProgress::Durable));
    }
    drop(disk);
    assert_eq!(one(&open(&home.path("overlay")), 9), Some(2));
}

#[test]
fn a_waiting_thread_gets_its_turn() {
    let home = Home::new();
    let disk = home.named("overlay");
    write(&disk, 0, &[1]);
    let first = more(disk.begin_flush().unwrap());
    write(&disk, 1, &[2]);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| disk.flush());
        assert!(matches!(step(more(first)), FlushProgress::Durable));
        waiting.join().unwrap().unwrap();
    });
    drop(disk);
    assert_eq!(read(&open(&home.path("overlay")), 0, 2), [Some(1), Some(2)]);
}

#[test]
fn a_new_log_counts_when_its_superblock_does() {
    let home = Home::new();
    let disk = large(&home);
    clear_everywhere(&disk, 0);
    disk.flush().unwrap();
    assert_eq!(after_kill(&home), (MANY as usize, 1));
    disk.begin_write_zeroes(1, 1).unwrap().complete();
    disk.flush().unwrap();
    clear_everywhere(&disk, 2);
    // It does not fit, so the flush begins again, with the whole map.
    let flush = more(disk.begin_flush().unwrap());
    let FlushStep::Sync(_) = flush.step() else { panic!("the files once more") };
    let mut flush = more(flush);
    for step in ["write the log", "sync it", "write the superblock"] {
        assert_eq!(after_kill(&home), (MANY as usize, 2), "before: {step}");
        flush = more(flush);
    }
    assert_eq!(after_kill(&home), (MANY as usize, 1), "a log of one batch that has everything");
    assert!(matches!(step(flush), FlushProgress::Durable));
    disk.begin_write_zeroes(3, 1).unwrap().complete();
    disk.flush().unwrap();
    assert_eq!(after_kill(&home), (MANY as usize, 2));
    let found = Disk::open(&home.path("copy"), false, DiskOptions::default()).unwrap();
    let zeroes = found.shared.state.lock().map.get(0).unwrap().zero;
    assert_eq!(zeroes, 0b1111);
}

#[test]
fn after_half_a_superblock_nobody_trusts_the_log() {
    let home = Home::new();
    let disk = large(&home);
    clear_everywhere(&disk, 0);
    disk.flush().unwrap();
    clear_everywhere(&disk, 1);
    // Before the superblock, a flush can be dropped: the next one takes another place for the log.
    let begun = |steps| (0..steps).fold(disk.begin_flush().unwrap(), |flush, _| more(flush));
    drop(begun(2));
    drop(begun(3));
    drop(begun(4));
    let error = disk.begin_flush().unwrap_err();
    assert!(matches!(error, DiskError::SyncFailed { .. }), "{error}");
    assert_eq!(after_kill(&home).0, MANY as usize);
}

#[test]
fn a_new_log_of_an_overlay_above_another_says_what_both_did() {
    let home = Home::new();
    let lower = home.named("lower");
    write(&lower, 0, &[1; 20]);
    lower.begin_discard(30, 4).unwrap().complete();
    lower.flush().unwrap();
    drop(lower);
    home.create("upper", "lower", BaseKind::Overlay);
    let upper = open(&home.path("upper"));
    write(&upper, 3, &[2; 10]);
    // A batch is one sector of the log here, which has 2048.
    for round in 0..2100 {
        write(&upper, 31, &[round]);
        upper.flush().unwrap();
    }
    let expected = all(&upper);
    drop(upper);
    assert!(inspect(&home.path("upper")).unwrap().layers[0].flushes_in_log < 2048);
    assert_eq!(all(&open(&home.path("upper"))), expected);
    assert_eq!(read(&open(&home.path("upper")), 30, 3), [0, 2099, 0].map(Some));
}
