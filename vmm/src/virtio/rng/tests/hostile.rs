use super::*;
use crate::devices::bus::MmioDevice;
use crate::virtio::Device;
use crate::virtio::test_driver::{Desc, INDIRECT, NEXT, WRITE, agree, place_queue, put_desc};

/// Steps and expects a broken device that has answered nothing, and that works after a reset.
fn breaks(mut bench: Bench, why: &str) {
    assert_eq!(bench.step(), Next::Idle, "{why}");
    assert_eq!(bench.status(), 15 | 64, "{why}");
    assert_eq!(bench.used(), [], "{why}");
    assert_eq!(bench.device.park().counts().malformed, 1, "{why}");
    assert!(bench.bytes(DATA, 0x4000).iter().all(|&byte| byte == 0), "{why}");
    bench.fails.store(false, Ordering::Release);
    bench.restart();
    bench.ask(0, &[(DATA, 4, true)]);
    bench.step();
    assert_eq!(bench.used(), [(0, 4)], "{why}");
}

#[test]
fn buffers_that_cannot_be_filled() {
    for (parts, why) in [
        (vec![(DATA, 4, false)], "a buffer that the device reads"),
        (vec![(DATA, 4, true), (DATA, 4, false)], "another that the device reads"),
        (vec![(DATA, 4, false), (DATA, 4, true)], "one before it that the device reads"),
        (vec![(DATA, 0, true)], "no bytes"),
        (vec![(END, 4, true)], "a buffer behind the end"),
        (vec![(END - 2, 4, true)], "a buffer across the end"),
        (vec![(DATA, 4, true), (u64::MAX, 2, true)], "a buffer that wraps"),
        (vec![(DATA, u32::MAX, true)], "4 GiB"),
    ] {
        let mut bench = Bench::new();
        bench.ask(0, &parts);
        breaks(bench, why);
    }
}

#[test]
fn chains_that_are_none() {
    for (desc, why) in [
        (Desc { address: DATA, len: 4, flags: WRITE | NEXT, next: 0 }, "a loop"),
        (Desc { address: DATA, len: 4, flags: WRITE | NEXT, next: 64 }, "a next beyond the table"),
        (Desc { address: DATA, len: 17, flags: INDIRECT, next: 0 }, "half a descriptor"),
        (Desc { address: END, len: 32, flags: INDIRECT, next: 0 }, "a table behind the end"),
    ] {
        let mut bench = Bench::new();
        bench.ring.put(&bench.memory, 0, desc);
        bench.ring.offer(&bench.memory, 0);
        breaks(bench, why);
    }
    let mut bench = Bench::new();
    let table = 0x3_0000;
    let inner = Desc { address: table, len: 32, flags: INDIRECT, next: 0 };
    bench.ring.put(&bench.memory, 0, inner);
    put_desc(&bench.memory, table, 0, inner);
    bench.ring.offer(&bench.memory, 0);
    breaks(bench, "a table in a table");
}

#[test]
fn heads_and_indices_that_are_not_there() {
    for head in [QUEUE_SIZE, u16::MAX] {
        let mut bench = Bench::new();
        bench.ring.offer(&bench.memory, head);
        breaks(bench, "a head beyond the table");
    }
    for index in [QUEUE_SIZE + 1, 0x8000, 0xffff] {
        let bench = Bench::new();
        bench.ring.set_avail(&bench.memory, index);
        breaks(bench, "an index too far ahead");
    }
}

#[test]
fn nothing_is_given_when_the_host_has_nothing_to_give() {
    let mut bench = Bench::new();
    bench.fails.store(true, Ordering::Release);
    bench.ask(0, &[(DATA, 4, true)]);
    breaks(bench, "no random bytes");
}

#[test]
fn a_driver_that_never_stops_gets_a_bounded_step() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        for head in 0..QUEUE_SIZE {
            bench.ask(head, &[(DATA, MOST_BYTES as u32, true)]);
        }
        assert_eq!(bench.step(), Next::Now);
        assert_eq!(bench.used().len(), usize::from(QUEUE_SIZE));
    }
    assert_eq!(bench.step(), Next::Idle);
}

#[test]
fn a_buffer_over_the_rings_hurts_nobody_but_the_guest() {
    let mut bench = Bench::new();
    for head in 0..QUEUE_SIZE {
        bench.ask(head, &[(RING, 0x4000, true)]);
    }
    for _ in 0..4 {
        bench.step();
    }
    bench.restart();
    bench.ask(0, &[(DATA, 4, true)]);
    bench.step();
    assert_eq!(bench.used(), [(0, 4)]);
}

#[test]
fn doorbells_and_configuration_reads_out_of_turn_do_nothing() {
    let bench = Bench::idle();
    let rung = || bench.device.bell(0).read().is_ok();
    write32(&bench.mmio, 0x50, 0);
    agree(&bench.mmio, 0);
    place_queue(&bench.mmio, &bench.ring);
    write32(&bench.mmio, 0x50, 0);
    assert!(!rung());
    // A kernel that watches the register rings in any state.
    bench.device.bell(0).write(1).unwrap();
    assert_eq!(bench.step(), Next::Idle);
    for (offset, len) in [(0x100, 1), (0x100, 8), (0x104, 4), (0xff8, 8)] {
        let mut data = vec![0xff; len];
        bench.mmio.read(offset, &mut data);
        assert_eq!(data, vec![0xff; len], "{offset:#x}");
        bench.mmio.write(offset, &data);
    }
    let parked = bench.device.park();
    assert_eq!((parked.counts(), parked.save()), (RngCounts::default(), RngState::default()));
}
