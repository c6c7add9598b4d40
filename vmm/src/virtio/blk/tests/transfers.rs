use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::bench::*;
use crate::virtio::Next;

#[test]
fn a_read_fills_its_segments_and_nothing_beside() {
    let mut bench = Bench::new();
    bench.fill(DATA, &[0xaa; 0x4000]);
    // Below a page, across pages, several segments.
    bench.read(0, 3, &[(DATA + 512, 512), (DATA + 0x1e00, 1024), (DATA + 0x3000, 512)]);
    assert_eq!(bench.answers(1), [(0, 2049)]);
    assert_eq!(bench.status(0), 0);
    let disk = original(3, 2048);
    let mut expected = vec![0xaa; 0x4000];
    expected[512..1024].copy_from_slice(&disk[..512]);
    expected[0x1e00..0x2200].copy_from_slice(&disk[512..1536]);
    expected[0x3000..0x3200].copy_from_slice(&disk[1536..]);
    assert_eq!(bench.bytes(DATA, 0x4000), expected);
    assert_eq!((bench.pins(), bench.disk.park().counts().bounced), (0, 0));
    assert_eq!(bench.disk.park().ports().disk.open, 0);
}

#[test]
fn a_write_is_on_the_disk_when_it_is_answered() {
    let mut bench = Bench::new();
    bench.fill(DATA, &[0x11; 8192]);
    bench.write(4, 10, &[(DATA, 1024), (DATA + 4096 - 512, 1024)]);
    assert_eq!(bench.answers(1), [(4, 1)]);
    assert_eq!(bench.on_disk(10, 2048), vec![0x11; 2048]);
    assert_eq!(bench.on_disk(9, 512), original(9, 512));
    assert_eq!(bench.on_disk(14, 512), original(14, 512));
    bench.request(0, (4, 0), &[], false);
    assert_eq!(bench.answers(1), [(0, 1)]);
    assert_eq!(bench.status(0), 0);
}

#[test]
fn memory_that_is_not_aligned_is_served_through_copies() {
    let mut bench = Bench::new();
    bench.fill(DATA, &[0xaa; 0x3000]);
    bench.read(0, 7, &[(DATA + 1, 100), (DATA + 0xfff, 5), (DATA + 0x1801, 407 + 512)]);
    assert_eq!(bench.answers(1), [(0, 1025)]);
    let disk = original(7, 1024);
    let mut expected = vec![0xaa; 0x3000];
    expected[1..101].copy_from_slice(&disk[..100]);
    expected[0xfff..0x1004].copy_from_slice(&disk[100..105]);
    expected[0x1801..0x1801 + 919].copy_from_slice(&disk[105..]);
    assert_eq!(bench.bytes(DATA, 0x3000), expected);
    bench.write(0, 20, &[(DATA + 0x1802, 3), (DATA + 3, 509)]);
    bench.answers(1);
    let mut expected = disk[106..109].to_vec();
    expected.extend(&bench.bytes(DATA + 3, 509));
    assert_eq!(bench.on_disk(20, 512), expected);
    assert_eq!((bench.disk.park().counts().bounced, bench.pins()), (2, 0));
}

#[test]
fn large_requests_are_cut_where_the_disk_and_the_kernel_want() {
    let mut bench = Bench::new();
    // Many pieces; then a read that goes on where nothing is stored.
    let data: Vec<_> = (0..120).map(|n| (DATA + n * 0x4000 + 0x800, 0x2000_u32)).collect();
    bench.read(0, 0, &data[..62]);
    assert_eq!(bench.answers(1), [(0, 62 * 0x2000 + 1)]);
    bench.read(0, 1400, &[(DATA, 0x48000), (DATA + 0x80000, 0x2000)]);
    assert_eq!(bench.answers(1), [(0, 0x4a001)]);
    let stored = (SECTORS / 4 * 3 - 1400) as usize * 512;
    assert_eq!(bench.bytes(DATA, stored), original(1400, stored));
    assert_eq!(bench.bytes(DATA + stored as u64, 0x48000 - stored), vec![0; 0x48000 - stored]);
    bench.read(0, 2040, &[(DATA + 1, 4096)]);
    bench.answers(1);
    assert_eq!(bench.bytes(DATA + 1, 4096), vec![0; 4096]);
}

#[test]
fn discard_write_zeroes_and_the_identifier_work() {
    let mut bench = Bench::new();
    let range = |sector: u64, sectors: u32, flags: u32| {
        let mut bytes = sector.to_le_bytes().to_vec();
        bytes.extend(sectors.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes
    };
    bench.fill(DATA, &[range(8, 8, 0), range(32, 8, 0)].concat());
    bench.request(0, (11, 0), &[(DATA, 20), (DATA + 20, 12)], false);
    bench.answers(1);
    bench.fill(DATA, &range(64, 16, 1));
    bench.request(8, (13, 0), &[(DATA, 16)], false);
    bench.answers(1);
    assert_eq!((bench.status(0), bench.status(8)), (0, 0));
    for (sector, len) in [(8, 4096), (32, 4096), (64, 8192)] {
        assert_eq!(bench.on_disk(sector, len), vec![0; len]);
    }
    assert_eq!(bench.on_disk(16, 8192), original(16, 8192));

    bench.fill(DATA, &[0xaa; 64]);
    bench.request(0, (8, 0), &[(DATA, 20)], true);
    assert_eq!(bench.answers(1), [(0, 21)]);
    assert_eq!(bench.bytes(DATA, 21), *b"a disk\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xaa");
    bench.request(0, (8, 0), &[(DATA + 32, 3), (DATA + 40, 9)], true);
    assert_eq!(bench.answers(1), [(0, 13)]);
    assert_eq!(bench.bytes(DATA + 32, 3), *b"a d");
}

#[test]
fn file_systems_that_cannot_zero_or_discard_are_got_along_with() {
    // The request, how often the file system refuses, the status, and whether zeros are there.
    for (kind, refusals, status, zeros) in [(13, 1, 0, true), (13, 2, 2, false), (11, 1, 2, false)]
    {
        let mut bench = Bench::new();
        let range = [64_u64.to_le_bytes(), 16_u64.to_le_bytes()].concat();
        bench.fill(DATA, &range);
        bench.control.fail(refusals, libc::EOPNOTSUPP);
        bench.request(0, (kind, 0), &[(DATA, 16)], false);
        assert_eq!(bench.answers(1), [(0, 1)]);
        assert_eq!(bench.status(0), status, "{kind} {refusals}");
        let expected = if zeros { vec![0; 8192] } else { original(64, 8192) };
        assert!(bench.on_disk(64, 8192) == expected, "{kind} {refusals}");
        bench.read(8, 0, &[(DATA, 512)]);
        bench.answers(1);
        assert_eq!(bench.status(8), 0);
    }
}

#[test]
fn answers_come_in_the_order_of_completions_and_pins_end_with_them() {
    let mut bench = Bench::new();
    bench.control.hold();
    for n in 0..4 {
        bench.read(n * 4, n.into(), &[(DATA + u64::from(n) * 4096, 512)]);
    }
    assert_eq!(bench.rest(), Next::Idle);
    assert_eq!((bench.pins(), bench.in_flight()), (4, 4));
    assert_eq!(bench.disk.park().save().ledger.entries.len(), 4);
    for (nth, head, left) in [(2, 8, 3), (0, 0, 2), (1, 12, 1), (0, 4, 0)] {
        bench.control.release(nth);
        assert_eq!(bench.answers(1), [(head, 513)]);
        assert_eq!((bench.pins(), bench.disk.park().requests_in_flight()), (left, left));
        assert_eq!(bench.disk.park().save().ledger.entries.len(), left);
    }
}

#[test]
fn short_transfers_are_continued_and_failures_are_io_errors() {
    let mut bench = Bench::new();
    bench.control.shorten(3, 1024);
    bench.read(0, 5, &[(DATA, 4096)]);
    assert_eq!(bench.answers(1), [(0, 4097)]);
    assert_eq!(bench.bytes(DATA, 4096), original(5, 4096));
    assert_eq!(bench.disk.park().counts().continued, 3);
    for errno in [libc::ENOSPC, libc::EIO] {
        bench.control.fail(1, errno);
        bench.write(0, 5, &[(DATA, 4096)]);
        assert_eq!((bench.answers(1), bench.status(0)), (vec![(0, 1)], 1));
    }
    bench.control.fail(1, libc::EIO);
    bench.read(0, 5, &[(DATA, 4096)]);
    assert_eq!((bench.answers(1), bench.status(0)), (vec![(0, 0)], 1));
    let mut parked = bench.disk.park();
    assert_eq!((parked.ports().disk.open, parked.ports().disk.failed), (0, 3));
    assert_eq!(parked.counts().errors, 3);
}

#[test]
fn a_busy_pinner_and_a_full_engine_are_asked_again() {
    let mut bench = Bench::new();
    bench.busy.store(3, Ordering::Release);
    bench.read(0, 0, &[(DATA, 512)]);
    assert_eq!(bench.rest(), Next::Soon);
    assert_eq!((bench.pins(), bench.disk.park().save().ledger.entries.len()), (0, 1));
    assert_eq!(bench.answers(1), [(0, 513)]);
    // More pieces than the engine holds, in two requests.
    for head in [0, 8] {
        bench.read(head, 0, &[(DATA, 0x100000 / 2)]);
    }
    bench.read(16, 0, &[(DATA + 0x100000, 0xc0000)]);
    assert_eq!(bench.answers(3).len(), 3);
    assert_eq!(bench.bytes(DATA + 0x100000, 0xc0000), original(0, 0xc0000));
}

#[test]
fn a_disk_whose_plan_does_not_fit_gives_an_io_error() {
    let mut bench = Bench::new();
    bench.disk.park().ports().disk.lies = true;
    bench.write(0, 1, &[(DATA, 512)]);
    assert_eq!((bench.answers(1), bench.status(0)), (vec![(0, 1)], 1));
    assert_eq!((bench.pins(), bench.on_disk(1, 512)), (0, original(1, 512)));
}

#[test]
fn without_event_idx_each_batch_interrupts() {
    let mut bench = Bench::new();
    for n in 0..3 {
        bench.read(n * 4, 0, &[(DATA, 512)]);
    }
    bench.answers(3);
    assert!((1..=3).contains(&bench.line.0.load(Ordering::Acquire)));
    assert_eq!(bench.disk.park().requests_in_flight(), 0);
}

#[test]
fn event_idx_says_when_to_interrupt_and_when_to_ring() {
    let mut bench = Bench::idle(options());
    bench.start(true);
    bench.step();
    bench.ring.set_used_event(&bench.memory, 2);
    for (n, interrupts) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
        bench.read(n * 4, 0, &[(DATA, 512)]);
        bench.answers(1);
        assert_eq!(bench.line.0.load(Ordering::Acquire), interrupts, "request {n}");
        // The device wants a doorbell for the very next request.
        assert_eq!(bench.rest(), Next::Idle);
        assert_eq!(bench.ring.avail_event(&bench.memory), n + 1);
    }
    bench.ring.set_used_event(&bench.memory, 3);
    bench.read(0, 0, &[(DATA, 512)]);
    bench.answers(1);
    assert_eq!(bench.line.0.load(Ordering::Acquire), 1);
}

/// Whether the driver would ring for its next request.
fn wants_doorbell(bench: &Bench, event_idx: bool) -> bool {
    match event_idx {
        true => bench.ring.avail_event(&bench.memory) == bench.ring.next_avail,
        false => bench.bytes(bench.ring.used, 2) == [0, 0],
    }
}

#[test]
fn doorbells_are_declined_while_the_worker_is_at_it() {
    for event_idx in [false, true] {
        let mut bench = Bench::idle(options());
        bench.start(event_idx);
        for n in 0..3 {
            assert_eq!(bench.rest(), Next::Idle);
            assert!(wants_doorbell(&bench, event_idx), "{event_idx}");
            bench.control.hold();
            bench.read(n * 4, 0, &[(DATA, 512)]);
            assert_eq!(bench.rest(), Next::Idle);
            assert!(wants_doorbell(&bench, event_idx), "{event_idx}: nothing tells of requests");
            bench.control.release_all();
            assert_eq!(bench.answers(1).len(), 1);
            assert!(!wants_doorbell(&bench, event_idx), "{event_idx}: it looks again");
            assert_eq!(bench.step(), Next::Idle);
            assert!(wants_doorbell(&bench, event_idx), "{event_idx}: it does not look again");
        }
        // Whoever drains the disk does not look at its queues.
        bench.read(0, 0, &[(DATA, 512)]);
        assert_eq!(bench.rest(), Next::Idle);
        let deadline = Instant::now() + Duration::from_secs(20);
        bench.disk.park().drain(deadline).unwrap();
        assert!(wants_doorbell(&bench, event_idx), "{event_idx}: after draining");
        assert_eq!(bench.ring.used(&bench.memory).len(), 1);
    }
}

#[test]
fn ring_indices_wrap() {
    let mut bench = Bench::new();
    for round in 0..1100_u64 {
        for n in 0..60 {
            bench.request(n, (0x99, round), &[], false);
            assert_eq!(bench.answers(1), [(n.into(), 1)]);
        }
    }
    assert_eq!(bench.disk.park().counts().answered, 66_000);
}
