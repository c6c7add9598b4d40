use std::time::{Duration, Instant};

use super::*;
use crate::virtio::Reactor;

#[test]
fn pages_that_are_inflated_are_discarded_and_those_deflated_are_not() {
    let mut bench = Bench::new();
    bench.name(INFLATE, 0, &[0x100, 0x101, 0x102, 0x200]);
    bench.name(DEFLATE, 1, &[0x300, 0x301]);
    assert_eq!(bench.step(), Next::Now);
    assert_eq!(bench.step(), Next::Idle);
    assert_eq!((bench.used(INFLATE), bench.used(DEFLATE)), (vec![(0, 0)], vec![(1, 0)]));
    assert_eq!(bench.discarded(), [(0x100, 3), (0x200, 1)]);
    assert_eq!(bench.line.0.load(Ordering::Acquire), 1, "one interrupt for both");
    let counts = bench.counts();
    assert_eq!((counts.requests, counts.inflated, counts.deflated), (2, 4, 2));
    assert_eq!((counts.discarded, counts.kept), (4, 0));
}

#[test]
fn whole_pages_of_what_is_reported_are_discarded() {
    let mut bench = Bench::new();
    bench.ask(REPORT, 3, &[(0x20_0000, 0x20_0000, true), (0x60_0800, 0x1800, true)]);
    bench.ask(REPORT, 7, &[(0x60_0800, 0x800, true)]);
    bench.run();
    assert_eq!(bench.used(REPORT), [(3, 0), (7, 0)]);
    assert_eq!(bench.discarded(), [(0x200, 512), (0x601, 1)]);
    assert_eq!((bench.counts().reported, bench.counts().discarded), (513, 513));
}

#[test]
fn what_is_pinned_is_kept_and_counted() {
    let mut bench = Bench::with_pinned(&[0x101, 0x250]);
    bench.name(INFLATE, 0, &[0x100, 0x101, 0x102]);
    bench.ask(REPORT, 0, &[(0x20_0000, 0x10_0000, true)]);
    bench.run();
    let counts = bench.counts();
    assert_eq!((counts.discarded, counts.kept), (2 + 255, 2));
}

#[test]
fn a_large_request_is_served_in_pieces_and_answered_once() {
    let mut bench = Bench::new();
    let pages = 4 * MOST_PAGES + 5;
    let ranges = [(0x100_0000, MOST_PAGES * 4096 + 4096, true), (0x400_0000, 0, true)];
    bench.ask(REPORT, 0, &ranges);
    let numbers: Vec<u32> = (0..pages).map(|n| 0x400 + n).collect();
    bench.name(INFLATE, 0, &numbers);
    for piece in 0..4 {
        assert_eq!(bench.step(), Next::Now);
        assert_eq!(bench.discarded(), [(0x400 + piece * MOST_PAGES, MOST_PAGES)]);
        assert_eq!(bench.used(INFLATE), [], "piece {piece}");
    }
    bench.step();
    assert_eq!(bench.used(INFLATE), [(0, 0)]);
    assert_eq!(bench.discarded(), [(0x400 + 4 * MOST_PAGES, 5), (0x1000, MOST_PAGES - 5)]);
    bench.run();
    assert_eq!(bench.discarded(), [(0x1000 + MOST_PAGES - 5, 6)]);
    assert_eq!(bench.used(REPORT), [(0, 0)]);
    let counts = bench.counts();
    assert_eq!((counts.requests, counts.inflated), (2, pages.into()));
    assert_eq!(counts.reported, u64::from(MOST_PAGES) + 1);
}

#[test]
fn the_driver_is_told_a_new_size_and_tells_its_own() {
    let bench = Bench::new();
    let size = || [0x100, 0x104].map(|offset| read32(&bench.mmio, offset));
    assert_eq!(size(), [0, 0]);
    let generation = read32(&bench.mmio, 0xfc);
    for _ in 0..2 {
        bench.device.park().set_target(0x1000);
        assert_eq!(bench.line.0.load(Ordering::Acquire), 1, "once");
    }
    assert_eq!((read32(&bench.mmio, 0x60), read32(&bench.mmio, 0xfc)), (2, generation + 1));
    write32(&bench.mmio, 0x104, 0x800);
    assert_eq!(size(), [0x1000, 0x800]);
    assert_eq!(bench.device.park().size(), Size { target: 0x1000, actual: 0x800 });
    write32(&bench.mmio, 0x70, 0);
    assert_eq!(size(), [0x1000, 0], "a driver that starts again has all its pages");
}

#[test]
fn a_reactor_serves_what_doorbells_announce() {
    let mut bench = Bench::new();
    let _reactor = Reactor::start("balloon", bench.device.clone()).unwrap();
    for queue in [INFLATE, DEFLATE] {
        bench.name(queue, 0, &[0x100]);
        write32(&bench.mmio, 0x50, queue as u32);
        let deadline = Instant::now() + Duration::from_secs(20);
        while bench.used(queue).is_empty() {
            assert!(Instant::now() < deadline, "queue {queue}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
