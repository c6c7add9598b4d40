use super::super::test_memory::{Area, direct_file, pattern, readable, transfer, wait};
use super::*;

fn write(id: u64, file: &Arc<File>, offset: u64, buffers: Buffers) -> Transfer {
    transfer(id, file, offset, Kind::Write, buffers)
}

fn read(id: u64, file: &Arc<File>, offset: u64, buffers: Buffers) -> Transfer {
    transfer(id, file, offset, Kind::Read, buffers)
}

#[test]
fn direct_transfers_move_scattered_bytes_both_ways() {
    let (_temporary, file) = direct_file(&pattern(64 << 10, 1));
    let area = Area::new(64 << 10);
    let mut engine = Uring::new(8).unwrap();
    let pieces = [(0x1000, 512), (0x3200, 1024), (0x8000, 4096 + 512)];
    engine.submit(read(7, &file, 512, area.buffers(&pieces))).unwrap();
    engine.flush().unwrap();
    let done = wait(&mut engine, 1);
    assert_eq!((done[0].id, done[0].result.as_ref().unwrap()), (7, &6144));
    let mut got = Vec::new();
    for (offset, len) in pieces {
        got.extend(area.bytes(offset, len));
    }
    assert_eq!(got, pattern(64 << 10, 1)[512..][..6144]);

    area.fill(0x1000, &[0xaa; 512]);
    engine.submit(write(8, &file, 4096, area.buffers(&pieces[..2]))).unwrap();
    engine.flush().unwrap();
    assert_eq!(wait(&mut engine, 1)[0].result.as_ref().unwrap(), &1536);
    let on_disk = std::fs::read(_temporary.path()).unwrap();
    assert_eq!(on_disk[4096..4608], [0xaa; 512]);
    assert_eq!(on_disk[4608..5632], pattern(64 << 10, 1)[1024..2048]);
}

#[test]
fn buffers_are_held_until_the_completion_is_read() {
    let (_temporary, file) = direct_file(&[1; 4096]);
    let area = Area::new(4096);
    let mut engine = Uring::new(8).unwrap();
    engine.submit(read(1, &file, 0, area.buffers(&[(0, 4096)]))).unwrap();
    assert_eq!((engine.pending(), engine.in_flight()), (1, 0));
    assert!(!readable(&engine, 10));
    engine.flush().unwrap();
    assert!(readable(&engine, 5000));
    // It is finished, and nobody has read that.
    assert_eq!((engine.pending(), engine.in_flight(), area.holders()), (1, 0, 1));
    let mut done = Vec::new();
    engine.completed(&mut done);
    assert_eq!((engine.pending(), done.len(), area.holders()), (0, 1, 1));
    assert!(!readable(&engine, 0));
    drop(done);
    assert_eq!(area.holders(), 0);
}

#[test]
fn a_full_engine_refuses_and_gives_the_transfer_back() {
    let (_temporary, file) = direct_file(&[1; 8192]);
    let area = Area::new(4096);
    let mut engine = Uring::new(4).unwrap();
    let one = |id| read(id, &file, 0, area.buffers(&[(0, 512)]));
    for id in 0..4 {
        engine.submit(one(id)).unwrap();
    }
    for _ in 0..2 {
        let refused = engine.submit(one(9)).unwrap_err();
        assert_eq!(refused.reason.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(refused.transfer.id, 9);
        engine.flush().unwrap();
    }
    let mut ids: Vec<u64> = wait(&mut engine, 4).iter().map(|done| done.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2, 3]);
    engine.submit(one(9)).unwrap();
    engine.flush().unwrap();
    assert_eq!(wait(&mut engine, 1)[0].id, 9);
    assert_eq!(area.holders(), 0);
}

#[test]
fn thousands_of_transfers_go_through_a_small_ring() {
    let (_temporary, file) = direct_file(&pattern(256 << 10, 3));
    let area = Area::new(64 << 10);
    let mut engine = Uring::new(16).unwrap();
    let (mut sent, mut done) = (0_u64, 0);
    while done < 3000 {
        while sent < 3000 && engine.pending() < 16 {
            let offset = (sent * 512) % (256 << 10);
            let place = (sent as usize * 512) % (64 << 10);
            engine.submit(read(sent, &file, offset, area.buffers(&[(place, 512)]))).unwrap();
            sent += 1;
        }
        engine.flush().unwrap();
        for completion in wait(&mut engine, 1) {
            assert_eq!(completion.result.unwrap(), 512);
            done += 1;
        }
    }
    assert_eq!((engine.pending(), engine.in_flight(), area.holders()), (0, 0, 0));
}

#[test]
fn the_kinds_without_memory_work() {
    let (temporary, file) = direct_file(&[7; 64 << 10]);
    let mut engine = Uring::new(8).unwrap();
    let kinds = [
        (4096, Kind::PunchHole { len_bytes: 8192 }),
        (32 << 10, Kind::ZeroRange { len_bytes: 4096 }),
        (0, Kind::Sync),
    ];
    for (offset, kind) in kinds {
        engine.submit(transfer(1, &file, offset, kind, Buffers::empty())).unwrap();
        engine.flush().unwrap();
        assert_eq!(wait(&mut engine, 1)[0].result.as_ref().unwrap(), &0, "{kind:?}");
    }
    let mut expected = vec![7; 64 << 10];
    expected[4096..12288].fill(0);
    expected[32 << 10..36 << 10].fill(0);
    assert_eq!(std::fs::read(temporary.path()).unwrap(), expected);
}

#[test]
fn the_kernels_errors_and_short_reads_are_reported() {
    let (_temporary, file) = direct_file(&[1; 4096]);
    let area = Area::new(8192);
    let mut engine = Uring::new(8).unwrap();
    engine.submit(read(1, &file, 0, area.buffers(&[(0, 8192)]))).unwrap();
    engine.flush().unwrap();
    assert_eq!(wait(&mut engine, 1)[0].result.as_ref().unwrap(), &4096);
    engine.submit(read(2, &file, 8192, area.buffers(&[(0, 512)]))).unwrap();
    engine.flush().unwrap();
    assert_eq!(wait(&mut engine, 1)[0].result.as_ref().unwrap(), &0);
    // Direct I/O at an address that is not aligned.
    engine.submit(read(3, &file, 0, area.buffers(&[(1, 511)]))).unwrap();
    engine.flush().unwrap();
    let done = wait(&mut engine, 1);
    assert_eq!(done[0].result.as_ref().unwrap_err().raw_os_error(), Some(libc::EINVAL));
    let many: Vec<_> = (0..1025).map(|_| (0, 4)).collect();
    let refused = engine.submit(read(4, &file, 0, area.buffers(&many))).unwrap_err();
    assert_eq!(refused.reason.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn dropping_the_engine_waits_for_what_the_kernel_has() {
    let (_temporary, file) = direct_file(&pattern(4 << 20, 5));
    for round in 0..20 {
        let area = Area::new(4 << 20);
        let mut engine = Uring::new(64).unwrap();
        for id in 0..32 {
            let place = id as usize * (64 << 10);
            let one = read(id, &file, place as u64, area.buffers(&[(place, 64 << 10)]));
            engine.submit(one).unwrap();
            // Some rounds leave transfers that the kernel has never seen.
            if round % 2 == 0 || id < 16 {
                engine.flush().unwrap();
            }
        }
        drop(engine);
        assert_eq!(area.holders(), 0);
        let mut zeroed = area.bytes(0, 2 << 20);
        zeroed.fill(0xee);
        area.fill(0, &zeroed);
        std::thread::sleep(std::time::Duration::from_millis(1));
        assert_eq!(area.bytes(0, 2 << 20), zeroed, "written after the engine was gone");
    }
}
