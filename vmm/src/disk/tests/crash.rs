//! kill -9: what the file of an overlay says at any moment.

use super::*;

/// Opens the overlay as a process would that comes after a kill.
fn after_kill(home: &Home, name: &str) -> Vec<Option<Token>> {
    let copy = home.path("copy");
    std::fs::copy(home.path(name), &copy).unwrap();
    let found = all(&open(&copy));
    assert_eq!(overlay::inspect(&copy).unwrap().damage, Vec::<String>::new());
    std::fs::remove_file(&copy).unwrap();
    found
}

#[test]
fn every_sector_is_one_that_was_flushed_or_a_later_one() {
    let home = Home::new();
    let disk = home.named("overlay");
    let mut flushed: Vec<Token> = base_tokens();
    let mut written = flushed.clone();
    let mut seed = 1_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut children = Vec::new();
    // A flush takes its steps while writes and forks go on, and what it promises is what was complete
    // when it began.
    let mut under_way = None;
    for round in 1..600 {
        let first = random(SECTORS);
        let count = (1 + random(12)).min(SECTORS - first);
        write(&disk, first, &vec![2_000_000 + round; count as usize]);
        written[first as usize..(first + count) as usize].fill(2_000_000 + round);
        match random(8) {
            0 | 3 if under_way.is_none() => {
                under_way = Some((disk.begin_flush().unwrap(), written.clone()));
            }
            0 | 3 | 4 => {
                under_way = under_way.and_then(|(flush, complete)| match step(flush) {
                    FlushProgress::More(flush) => Some((flush, complete)),
                    FlushProgress::Durable => {
                        flushed = complete;
                        None
                    }
                    FlushProgress::Busy(_) => panic!("there is one at a time"),
                });
            }
            1 if children.len() < 4 => children.push(disk.fork().unwrap()),
            2 => drop(children.pop()),
            _ => {}
        }
        if round % 5 == 0 {
            let found = after_kill(&home, "overlay");
            for (sector, found) in found.into_iter().enumerate() {
                let found = found.unwrap();
                let old = flushed[sector];
                assert!(
                    found == old || (found > old || old < 2_000_000) && found >= 2_000_000,
                    "round {round}, sector {sector}: {found}, and {old} was flushed"
                );
            }
        }
    }
    drop(under_way);
    disk.flush().unwrap();
    let written: Vec<_> = written.into_iter().map(Some).collect();
    assert_eq!(after_kill(&home, "overlay"), written);
    let usage = disk.usage();
    assert!(usage.live_slots + usage.reusable_slots < 150, "the file grew: {usage:?}");
}

#[test]
fn zeroes_and_sizes_last() {
    let home = Home::new();
    let disk = home.named("overlay");
    disk.begin_discard(0, 10).unwrap().complete();
    write(&disk, 2, &[5]);
    disk.flush().unwrap();
    drop(disk);
    let disk = open(&home.path("overlay"));
    assert_eq!(disk.size_bytes(), SECTORS * SECTOR_BYTES);
    assert_eq!(read(&disk, 0, 11), [0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1_000_010].map(Some));
}

#[test]
fn a_parent_goes_on_in_its_overlay_after_a_fork() {
    let home = Home::new();
    let disk = home.named("overlay");
    write(&disk, 0, &[1; 9]);
    let child = disk.fork().unwrap();
    write(&disk, 4, &[2; 9]);
    write(&child, 4, &[3; 9]);
    disk.flush().unwrap();
    child.flush().unwrap();
    let expected = [[Some(1); 4].as_slice(), &[Some(2); 9]].concat();
    assert_eq!(after_kill(&home, "overlay")[..13], expected);
    assert_eq!(read(&child, 0, 13), [[Some(1); 4].as_slice(), &[Some(3); 9]].concat());
}

#[test]
fn a_log_that_is_full_begins_anew() {
    let home = Home::new();
    let disk = home.named("overlay");
    // A batch is one sector of the log here, which has 2048.
    for round in 0..2500 {
        write(&disk, round % SECTORS, &[round]);
        disk.flush().unwrap();
    }
    let expected = all(&disk);
    assert_eq!(after_kill(&home, "overlay"), expected);
    let layer = overlay::inspect(&copy_of(&home)).unwrap().layers.remove(0);
    assert!(layer.flushes_in_log < 2048, "{layer:?}");
    assert!(layer.allocated_bytes < 8 << 20, "{layer:?}");
}

fn copy_of(home: &Home) -> PathBuf {
    std::fs::copy(home.path("overlay"), home.path("copy")).unwrap();
    home.path("copy")
}

#[test]
fn overlays_lie_upon_each_other() {
    let home = Home::new();
    let lower = home.named("lower");
    write(&lower, 0, &[1; 20]);
    lower.begin_discard(30, 4).unwrap().complete();
    lower.flush().unwrap();
    drop(lower);
    home.create("upper", "lower", BaseKind::Overlay);
    let upper = open(&home.path("upper"));
    write(&upper, 3, &[2; 10]);
    write(&upper, 31, &[3]);
    upper.flush().unwrap();
    let expected = all(&upper);
    drop(upper);
    let upper = open(&home.path("upper"));
    assert_eq!(all(&upper), expected);
    assert_eq!(
        read(&upper, 0, 14),
        [vec![1; 3], vec![2; 10], vec![1]].concat().into_iter().map(Some).collect::<Vec<_>>()
    );
    assert_eq!(read(&upper, 30, 5), [0, 3, 0, 0, 1_000_034].map(Some));
    let inspection = overlay::inspect(&home.path("upper"));
    assert!(matches!(inspection, Err(DiskError::InUse { .. })));
    drop(upper);
    let inspection = overlay::inspect(&home.path("upper")).unwrap();
    assert_eq!(inspection.layers.len(), 3);
    assert_eq!(inspection.damage, Vec::<String>::new());
}
