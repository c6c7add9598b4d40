//! Short turns on the real KVM and a real disk. No times are judged.

use std::os::unix::fs::FileExt;

use super::*;
use crate::guest::Sharing;
use crate::kvm::tests::host;

fn guests(memory_bytes: u64) -> Guests {
    Guests { memory_bytes, vcpus: 1, sharing: Sharing::default() }
}

fn blk(host: &Arc<Host>, memory_bytes: u64, file_bytes: u64) -> Blk {
    let guests = guests(memory_bytes);
    Blk::new(host, &guests, file_bytes, Path::new(".")).unwrap()
}

fn case(direction: Direction, block_bytes: u64, depth: u64) -> Case {
    Case { direction, block_bytes, depth }
}

#[test]
fn guest_and_bare_loop_move_and_verify_the_same() {
    let Some(host) = host() else { return };
    let mut bench = blk(&host, 16 << 20, 2 << 20);
    for case in [
        case(Direction::FromDevice, 4096, 8),
        case(Direction::ToDevice, 1536, 3),
        // What the writes left is not what was there originally: it is made so again.
        case(Direction::FromDevice, 128 << 10, 1),
        case(Direction::ToDevice, 128 << 10, 16),
    ] {
        let times = bench.measure(case, 2, &mut |_, _, _| {}).unwrap();
        assert_eq!(times.violations, Vec::<String>::new(), "{case:?}");
        assert_eq!((times.guest.len(), times.bare.len()), (2, 2), "{case:?}");
        assert!(times.guest.iter().chain(&times.bare).all(|took| *took > Duration::ZERO));
        assert!(times.transfers >= LEAST_TURNS * case.depth, "{case:?}");
        let all = 2 * times.transfers;
        assert!((1..=all).contains(&times.bells), "{case:?}: {times:?}");
        assert_eq!(times.bounced, 0, "{case:?}");
    }
}

#[test]
fn exits_and_wake_ups_are_measured() {
    let Some(host) = host() else { return };
    let exits = blk(&host, 16 << 20, 1 << 20).exits(2).unwrap();
    for times in [&exits.exit, &exits.doorbell, &exits.wake_up] {
        assert_eq!(times.len(), 2);
    }
    assert!(exits.exit.iter().chain(&exits.wake_up).all(|took| *took > Duration::ZERO));
}

/// The negative control: a byte of the disk is not what it should be.
#[test]
fn a_wrong_byte_on_the_disk_is_found_by_both() {
    let Some(host) = host() else { return };
    let mut bench = blk(&host, 16 << 20, 1 << 20);
    for sector in 0..2048 {
        bench.file.plain.write_all_at(&[0x77], sector * 512 + 511).unwrap();
    }
    bench.file.plain.sync_all().unwrap();
    let times = bench.measure(case(Direction::FromDevice, 4096, 4), 1, &mut |_, _, _| {}).unwrap();
    let found = |who: &str| times.violations.iter().any(|what| what.starts_with(who));
    assert!(found("the guest: ") && found("the bare loop, "), "{:?}", times.violations);
}

#[test]
fn what_has_no_room_is_refused() {
    let Some(host) = host() else { return };
    let mut bench = blk(&host, 16 << 20, 1 << 20);
    let refused = bench.measure(case(Direction::FromDevice, 128 << 10, 9), 1, &mut |_, _, _| {});
    assert!(matches!(refused, Err(BenchError::SmallFile { bytes: 0x10_0000, least: 0x12_0000 })));
    let mut bench = blk(&host, 8 << 20, 32 << 20);
    let refused = bench.measure(case(Direction::FromDevice, 128 << 10, 64), 1, &mut |_, _, _| {});
    assert!(matches!(refused, Err(BenchError::TooSmall { memory_bytes: 0x80_0000, .. })));
    let missing = Path::new("/no/such/folder");
    let refused = Blk::new(&host, &guests(16 << 20), 1 << 20, missing).err().unwrap().to_string();
    assert!(refused.contains("/no/such/folder") && refused.contains("--dir"), "{refused}");
}
