use super::*;
use crate::devices::bus::MmioDevice;
use crate::virtio::Device;
use crate::virtio::test_driver::{Desc, INDIRECT, NEXT, WRITE, agree, place_queue};

/// Steps and expects a broken device that has answered and discarded nothing, and works after a reset.
fn breaks(mut bench: Bench, why: &str) {
    assert_eq!(bench.step(), Next::Idle, "{why}");
    assert_eq!(bench.status(), 15 | 64, "{why}");
    assert!((0..3).all(|queue| bench.used(queue).is_empty()), "{why}");
    assert_eq!((bench.discarded(), bench.counts().malformed), (vec![], 1), "{why}");
    bench.restart();
    bench.name(INFLATE, 0, &[0x100]);
    bench.run();
    assert_eq!(bench.used(INFLATE), [(0, 0)], "{why}");
}

#[test]
fn requests_that_name_no_pages() {
    for (parts, why) in [
        (vec![(DATA, 0, false)], "no number"),
        (vec![(DATA, 3, false)], "a part of a number"),
        (vec![(DATA, 4, true)], "a buffer that the device writes"),
        (vec![(DATA, 4, false), (DATA, 4, true)], "another that the device writes"),
        (vec![(END, 4, false)], "numbers behind the end"),
        (vec![(END - 2, 4, false)], "numbers across the end"),
        (vec![(u64::MAX - 1, 4, false)], "numbers that wrap"),
    ] {
        for queue in [INFLATE, DEFLATE] {
            let mut bench = Bench::new();
            bench.ask(queue, 0, &parts);
            breaks(bench, why);
        }
    }
}

#[test]
fn pages_that_are_not_in_memory() {
    let last = (END / 4096) as u32;
    for number in [last, last + 1, 1 << 20, u32::MAX] {
        for numbers in [vec![number], vec![0x100, number], vec![last - 1, last]] {
            for queue in [INFLATE, DEFLATE] {
                let mut bench = Bench::new();
                bench.name(queue, 0, &numbers);
                breaks(bench, &format!("{numbers:x?}"));
            }
        }
    }
}

#[test]
fn reports_that_are_none() {
    for (parts, why) in [
        (vec![(DATA, 0, true)], "no bytes"),
        (vec![(0x20_0000, 0x1000, false)], "a range that the device reads"),
        (vec![(0x20_0000, 0x1000, true), (DATA, 4, false)], "another that the device reads"),
        (vec![(END, 0x1000, true)], "a range behind the end"),
        (vec![(END - 0x1000, 0x2000, true)], "a range across the end"),
        (vec![(u64::MAX - 0xfff, 0x1000, true)], "a range that wraps"),
        (vec![(0x20_0000, 0x1000, true), (1 << 60, 0x1000, true)], "one of two that is nowhere"),
        (vec![(0, u32::MAX, true)], "4 GiB"),
    ] {
        let mut bench = Bench::new();
        bench.ask(REPORT, 0, &parts);
        breaks(bench, why);
    }
}

#[test]
fn chains_that_are_none() {
    for (desc, why) in [
        (Desc { address: DATA, len: 4, flags: NEXT, next: 0 }, "a loop"),
        (Desc { address: DATA, len: 4, flags: WRITE | NEXT, next: 64 }, "a next beyond the table"),
        (Desc { address: DATA, len: 17, flags: INDIRECT, next: 0 }, "half a descriptor"),
        (Desc { address: END, len: 32, flags: INDIRECT, next: 0 }, "a table behind the end"),
    ] {
        for queue in [INFLATE, DEFLATE, REPORT] {
            let mut bench = Bench::new();
            bench.rings[queue].put(&bench.memory, 0, desc);
            bench.rings[queue].offer(&bench.memory, 0);
            breaks(bench, why);
        }
    }
    for head in [QUEUE_SIZE, u16::MAX] {
        let mut bench = Bench::new();
        bench.rings[REPORT].offer(&bench.memory, head);
        breaks(bench, "a head beyond the table");
    }
    for index in [QUEUE_SIZE + 1, 0x8000, 0xffff] {
        let bench = Bench::new();
        bench.rings[INFLATE].set_avail(&bench.memory, index);
        breaks(bench, "an index too far ahead");
    }
}

#[test]
fn a_driver_that_never_stops_gets_bounded_steps() {
    let mut bench = Bench::new();
    for head in 0..QUEUE_SIZE {
        bench.ask(REPORT, head, &[(0, END as u32, true)]);
        bench.name(INFLATE, 0, &[7]);
    }
    for _ in 0..100 {
        assert_eq!(bench.step(), Next::Now);
        let pages: u32 = bench.discarded().iter().map(|(_, pages)| pages).sum();
        assert!(pages <= MOST_PAGES, "{pages}");
    }
}

#[test]
fn a_request_that_changes_while_it_is_served_hurts_nobody() {
    let mut bench = Bench::new();
    bench.ask(REPORT, 0, &[(0x100_0000, 4 * MOST_PAGES * 4096, true)]);
    bench.step();
    bench.discarded();
    bench.rings[REPORT].chain(&bench.memory, 0, &[(0x200_0000, 0x1000, true)]);
    bench.run();
    assert_eq!((bench.used(REPORT), bench.discarded()), (vec![(0, 0)], vec![]));
    bench.ask(REPORT, 0, &[(0x100_0000, 4 * MOST_PAGES * 4096, true)]);
    bench.step();
    bench.discarded();
    bench.rings[REPORT].chain(&bench.memory, 0, &[(END, 0x1000, true)]);
    breaks(bench, "a range behind the end, in the second piece");
}

#[test]
fn a_reset_in_the_middle_forgets_how_far_it_was() {
    let mut bench = Bench::new();
    let range = [(0x100_0000, 2 * MOST_PAGES * 4096, true)];
    bench.ask(REPORT, 0, &range);
    bench.step();
    bench.restart();
    bench.discarded();
    bench.ask(REPORT, 0, &range);
    bench.run();
    assert_eq!(bench.discarded(), [(0x1000, MOST_PAGES), (0x1000 + MOST_PAGES, MOST_PAGES)]);
}

#[test]
fn only_the_actual_size_can_be_written() {
    let bench = Bench::new();
    let config = || {
        let mut data = [0; 8];
        bench.mmio.read(0x100, &mut data);
        data
    };
    bench.device.park().set_target(0x1234_5678);
    let before = config();
    for (offset, len) in [(0x100, 4), (0x100, 8), (0x103, 2), (0x108, 1), (0x105, 2), (0xff8, 8)] {
        bench.mmio.write(offset, &vec![0xee; len]);
        assert_eq!(config(), before, "{offset:#x}+{len}");
    }
    bench.mmio.write(0x106, &[1, 2]);
    bench.mmio.write(0x104, &[3]);
    assert_eq!(config()[4..], [3, 0, 1, 2]);
    assert_eq!(bench.mmio.counts().refused_writes, 6);
}

#[test]
fn doorbells_out_of_turn_do_nothing() {
    let bench = Bench::idle(&[]);
    write32(&bench.mmio, 0x50, 0);
    agree(&bench.mmio, 0);
    place_queue(&bench.mmio, &bench.rings[0]);
    write32(&bench.mmio, 0x50, 0);
    assert!(bench.device.bell(0).read().is_err());
    // A kernel that watches the register rings in any state.
    bench.device.bell(0).write(1).unwrap();
    assert_eq!(bench.step(), Next::Idle);
    assert_eq!(bench.counts(), BalloonCounts::default());
}
