//! What no driver does. None of it may panic, hang, or reach memory that is not the guest's.

use virtio_bindings::virtio_mmio as reg;

use super::bench::*;
use crate::virtio::Next;
use crate::virtio::blk::BlkOptions;
use crate::virtio::device::Device;
use crate::virtio::test_driver::*;

/// Offers `head` and expects the device to break, with nothing answered and nothing pinned.
fn breaks(mut bench: Bench, head: u16, why: &str) {
    bench.ring.offer(&bench.memory, head);
    assert_eq!(bench.step(), Next::Idle, "{why}");
    assert!(bench.is_broken(), "{why}");
    assert_eq!(read32(&bench.mmio, reg::VIRTIO_MMIO_INTERRUPT_STATUS), 2, "{why}");
    // It stays quiet until the reset, and works after it.
    bench.read(40, 0, &[(DATA, 512)]);
    bench.step();
    assert!(bench.ring.used(&bench.memory).is_empty(), "{why}");
    assert_eq!((bench.pins(), bench.disk.park().counts().malformed), (0, 1), "{why}");
    bench.reset();
    assert_eq!(bench.device_status(), 0, "{why}");
    bench.fill(0x1_0000, &[0; 0x4000]);
    bench.ring = Ring::new(0, 0x1_0000, 64);
    bench.start(false);
    bench.read(40, 0, &[(DATA, 512)]);
    assert_eq!(bench.answers(1), [(40, 513)], "{why}");
}

/// Offers a chain and expects `status`, with data untouched.
fn answered(parts: &[(u64, u32, bool)], kind: u32, sector: u64, status: u8, why: &str) {
    let mut bench = Bench::new();
    bench.fill(DATA, &[0xaa; 0x4000]);
    let header = bench.header(0, kind, sector);
    let parts: Vec<_> = parts
        .iter()
        .map(|&(address, len, write)| match address {
            1 => (header, len, write),
            2 => (header + 16, len, write),
            _ => (address, len, write),
        })
        .collect();
    bench.ring.chain(&bench.memory, 0, &parts);
    bench.ring.offer(&bench.memory, 0);
    assert_eq!(bench.answers(1)[0].0, 0, "{why}");
    assert_eq!((bench.status(0), bench.is_broken(), bench.pins()), (status, false, 0), "{why}");
    assert_eq!(bench.bytes(DATA, 0x4000), [0xaa; 0x4000], "{why}");
    assert_eq!(bench.on_disk(0, 4096), original(0, 4096), "{why}");
}

const END: u64 = MEMORY as u64;
const HEADER: (u64, u32, bool) = (1, 16, false);
const STATUS: (u64, u32, bool) = (2, 1, true);

#[test]
fn chains_that_do_not_end() {
    let bench = Bench::new();
    let header = bench.header(0, 0, 0);
    let link = |address, next, flags| Desc { address, len: 16, flags: flags | NEXT, next };
    bench.ring.put(&bench.memory, 0, link(header, 0, 0));
    breaks(bench, 0, "a descriptor that follows itself");

    let bench = Bench::new();
    bench.ring.put(&bench.memory, 0, link(header, 1, 0));
    bench.ring.put(&bench.memory, 1, link(DATA, 2, WRITE));
    bench.ring.put(&bench.memory, 2, link(DATA, 1, WRITE));
    breaks(bench, 0, "a loop of two");

    let bench = Bench::new();
    bench.ring.put(&bench.memory, 0, link(header, 64, 0));
    breaks(bench, 0, "a next beyond the table");

    let bench = Bench::new();
    bench.ring.put(&bench.memory, 0, link(DATA, 1, WRITE));
    let long = Desc { address: DATA, len: u32::MAX, flags: WRITE | NEXT, next: 2 };
    bench.ring.put(&bench.memory, 1, long);
    bench.ring.put(&bench.memory, 2, long);
    breaks(bench, 0, "more than 4 GiB");
}

#[test]
fn heads_and_indices_that_are_not_there() {
    breaks(Bench::new(), 64, "a head beyond the queue");
    breaks(Bench::new(), u16::MAX, "the last head of all");
    for index in [65, 0x8000, 0xffff] {
        let bench = Bench::new();
        bench.ring.set_avail(&bench.memory, index);
        bench.step();
        assert!(bench.is_broken(), "an index {index} ahead");
    }
}

#[test]
fn a_head_that_is_in_flight_is_offered_again() {
    let mut bench = Bench::new();
    bench.control.hold();
    bench.read(0, 0, &[(DATA, 4096)]);
    bench.step();
    bench.ring.offer(&bench.memory, 0);
    bench.step();
    assert!(bench.is_broken());
    // The first is still the kernel's, and is answered.
    assert_eq!(bench.pins(), 1);
    bench.control.release_all();
    assert_eq!(bench.answers(1), [(0, 4097)]);
    bench.step();
    assert!(bench.ring.used(&bench.memory).is_empty());
    bench.reset();
    assert_eq!(bench.device_status(), 0);

    let mut bench = Bench::new();
    bench.request(0, (0x99, 0), &[], false);
    bench.ring.offer(&bench.memory, 0);
    bench.ring.offer(&bench.memory, 0);
    // Answered at once, so it is not in flight when it comes again.
    assert_eq!(bench.answers(3), [(0, 1); 3]);
}

#[test]
fn a_status_that_cannot_be_written() {
    for (parts, why) in [
        (vec![(DATA, 16, false)], "no status"),
        (vec![(DATA, 16, false), (DATA + 64, 0, true)], "an empty status"),
        (vec![(DATA, 16, false), (END, 1, true)], "a status behind the end"),
        (vec![(DATA, 16, false), (u64::MAX, 1, true)], "a status at the last address"),
        (vec![(DATA, 16, false), (u64::MAX, u32::MAX, true)], "a status that wraps"),
        (vec![(DATA, 16, false), (END - 512, 513, true)], "a status just behind the end"),
        (vec![(DATA, 0, false)], "nothing at all"),
    ] {
        let bench = Bench::new();
        bench.ring.chain(&bench.memory, 0, &parts);
        breaks(bench, 0, why);
    }
}

#[test]
fn requests_that_are_wrong_get_an_error() {
    let data = |address, len, write| [HEADER, (address, len, write), STATUS];
    for (kind, sector, parts, why) in [
        (0, 0, vec![HEADER, STATUS], "a read of nothing"),
        (1, 0, vec![HEADER, STATUS], "a write of nothing"),
        (0, 0, data(DATA, 512, false).to_vec(), "a read into what the device may not write"),
        (1, 0, data(DATA, 512, true).to_vec(), "a write from what the device may not read"),
        (11, 0, data(DATA, 16, true).to_vec(), "a discard whose ranges are not readable"),
        (0, 0, data(DATA, 511, true).to_vec(), "half a sector"),
        (0, 0, data(DATA, 513, true).to_vec(), "a sector and a byte"),
        (0, 0, data(END - 256, 512, true).to_vec(), "data across the end"),
        (1, 0, data(END, 512, false).to_vec(), "data behind the end"),
        (0, 0, data(u64::MAX - 255, 512, true).to_vec(), "data that wraps"),
        (1, 0, data(DATA, 0xffff_fe00, false).to_vec(), "4 GiB"),
        (0, SECTORS, data(DATA, 512, true).to_vec(), "a sector behind the end"),
        (1, SECTORS - 1, data(DATA, 1024, false).to_vec(), "sectors across the end"),
        (0, u64::MAX, data(DATA, 512, true).to_vec(), "the last sector of all"),
        (1, u64::MAX / 512 + 1, data(DATA, 512, false).to_vec(), "a sector whose byte wraps"),
        (0, 0, vec![(1, 15, false), (DATA, 512, true), STATUS], "a header that is too short"),
        (0, 0, vec![STATUS], "no header"),
        (0, 0, vec![(END - 8, 16, false), (DATA, 512, true), STATUS], "a header across the end"),
        (0, 0, vec![(DATA, 512, true), HEADER, STATUS], "a header after data"),
        (0, 0, vec![HEADER, (DATA, 512, true), (DATA, 1, false), STATUS], "directions mixed"),
        (11, 0, vec![HEADER, STATUS], "a discard of nothing"),
        (13, 0, data(DATA, 15, false).to_vec(), "half a range"),
    ] {
        answered(&parts, kind, sector, 1, why);
    }
    answered(&[HEADER, STATUS], 2, 0, 2, "SCSI");
    answered(&[HEADER, STATUS], u32::MAX, 0, 2, "the last type of all");
    // Ranges full of 0xaa have flags that do not exist.
    answered(&[HEADER, (DATA, 16, false), STATUS], 11, 0, 2, "unknown flags");
}

#[test]
fn ranges_that_are_wrong_get_an_error() {
    for (sector, sectors, flags, kind, status) in [
        (SECTORS, 1_u32, 0_u32, 11, 1),
        (SECTORS - 1, 2, 0, 13, 1),
        (u64::MAX, 1, 0, 11, 1),
        (0, u32::MAX, 0, 13, 1),
        (0, 8, 1, 11, 2),
        (0, 8, 2, 13, 2),
        (0, 0, 0, 13, 0),
    ] {
        let mut bench = Bench::new();
        let mut bytes = sector.to_le_bytes().to_vec();
        bytes.extend(sectors.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bench.fill(DATA, &bytes);
        bench.request(0, (kind, 0), &[(DATA, 16)], false);
        bench.answers(1);
        assert_eq!(bench.status(0), status, "{sector} {sectors} {flags}");
        assert_eq!(bench.on_disk(0, 8192), original(0, 8192));
    }
}

#[test]
fn more_ranges_than_are_offered_get_an_error() {
    for (count, status) in [(16, 0), (17, 1), (100_000, 1)] {
        let mut bench = Bench::new();
        bench.request(0, (13, 0), &[(DATA, count * 16)], false);
        bench.answers(1);
        assert_eq!(bench.status(0), status, "{count}");
    }
}

#[test]
fn any_layout_of_a_right_request_is_served() {
    let mut bench = Bench::new();
    let header = bench.header(0, 0, 6);
    // A header in pieces, empty descriptors, and data and status in one.
    let table = 0x3_0000;
    put_chain(
        &bench.memory,
        table,
        0,
        &[
            (header, 3, false),
            (u64::MAX, 0, false),
            (header + 3, 12, false),
            (header + 15, 1, false),
            (DATA, 100, true),
            (END, 0, true),
            (DATA + 100, 412 + 1, true),
        ],
    );
    let indirect = Desc { address: table, len: 7 * 16, flags: INDIRECT, next: 0 };
    bench.ring.put(&bench.memory, 0, indirect);
    bench.ring.offer(&bench.memory, 0);
    assert_eq!(bench.answers(1), [(0, 513)]);
    assert_eq!(bench.bytes(DATA, 512), original(6, 512));
    assert_eq!(bench.bytes(DATA + 512, 1), [0]);

    // A write whose data begins in the descriptor of its header.
    let header = bench.header(0, 1, 2) + 0x1000;
    let bytes = bench.bytes(header - 0x1000, 16);
    bench.fill(header, &bytes);
    bench.fill(header + 16, &[0x42; 512]);
    put_chain(&bench.memory, table, 0, &[(header, 528, false), (DATA, 1, true)]);
    let indirect = Desc { address: table, len: 2 * 16, flags: INDIRECT, next: 0 };
    bench.ring.put(&bench.memory, 0, indirect);
    bench.ring.offer(&bench.memory, 0);
    assert_eq!(bench.answers(1), [(0, 1)]);
    assert_eq!((bench.bytes(DATA, 1), bench.on_disk(2, 512)), (vec![0], vec![0x42; 512]));
}

#[test]
fn indirect_tables_that_are_none() {
    let table = 0x3_0000;
    for (address, len, why) in [
        (table, 0, "an empty table"),
        (table, 15, "a table of less than one descriptor"),
        (table, 17, "a table that ends within a descriptor"),
        (table, 0xffff_fff0, "an enormous table"),
        (END, 32, "a table behind the end"),
        (END - 16, 32, "a table across the end"),
        (u64::MAX - 7, 32, "a table that wraps"),
    ] {
        let bench = Bench::new();
        let header = bench.header(0, 0, 0);
        let entry = Desc { address: header, len: 16, flags: NEXT, next: 1 };
        put_desc(&bench.memory, table, 0, entry);
        bench.fill(END - 16, &entry.bytes());
        let indirect = Desc { address, len, flags: INDIRECT, next: 0 };
        bench.ring.put(&bench.memory, 0, indirect);
        // What the table lists goes round and round, where it can be read.
        put_desc(&bench.memory, table, 1, Desc { next: 0, ..entry });
        breaks(bench, 0, why);
    }
    let bench = Bench::new();
    let inner = Desc { address: table, len: 32, flags: INDIRECT, next: 0 };
    bench.ring.put(&bench.memory, 0, inner);
    put_desc(&bench.memory, table, 0, inner);
    breaks(bench, 0, "a table in a table");

    let bench = Bench::new();
    for n in 0..2000 {
        let one = Desc { address: DATA, len: 1, flags: NEXT, next: n + 1 };
        put_desc(&bench.memory, table, n, one);
    }
    let long = Desc { address: table, len: 2001 * 16, flags: INDIRECT, next: 0 };
    put_desc(&bench.memory, table, 2000, Desc { address: DATA, len: 1, flags: WRITE, next: 0 });
    bench.ring.put(&bench.memory, 0, long);
    breaks(bench, 0, "more descriptors than anybody needs");
}

#[test]
fn a_read_only_disk_is_not_written() {
    let mut bench = Bench::idle(BlkOptions { read_only: true, ..options() });
    bench.start(true);
    bench.write(0, 0, &[(DATA, 512)]);
    bench.answers(1);
    bench.fill(DATA, &[0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
    for kind in [11, 13] {
        bench.request(8, (kind, 0), &[(DATA, 16)], false);
        bench.answers(1);
        assert_eq!((bench.status(0), bench.status(8)), (1, 1));
    }
    assert_eq!(bench.on_disk(0, 4096), original(0, 4096));
    bench.read(0, 0, &[(DATA, 512)]);
    bench.answers(1);
    assert_eq!(bench.status(0), 0);
}

#[test]
fn doorbells_out_of_turn_do_nothing() {
    let bench = Bench::idle(options());
    let ring = |queue| write32(&bench.mmio, reg::VIRTIO_MMIO_QUEUE_NOTIFY, queue);
    let rung = || bench.disk.bell(0).read().is_ok();
    ring(0);
    agree(&bench.mmio, 0);
    place_queue(&bench.mmio, &bench.ring);
    ring(0);
    write32(&bench.mmio, reg::VIRTIO_MMIO_QUEUE_READY, 1);
    ring(0);
    assert!(!rung());
    write32(&bench.mmio, reg::VIRTIO_MMIO_STATUS, 15);
    assert!(rung());
    for queue in [1, 2, 0xffff, 0x1_0000, u32::MAX] {
        ring(queue);
        assert!(!rung(), "{queue}");
    }
    ring(0);
    assert!(rung());
    bench.ring.set_avail(&bench.memory, 0x100);
    bench.step();
    ring(0);
    assert!(bench.is_broken() && !rung());
}

#[test]
fn a_live_queue_cannot_be_changed() {
    let mut bench = Bench::new();
    let before = bench.mmio.save();
    let other = Ring::new(0, 0x7_0000, 16);
    place_queue(&bench.mmio, &other);
    for ready in [0, 1, 2] {
        write32(&bench.mmio, reg::VIRTIO_MMIO_QUEUE_READY, ready);
        assert_eq!(read32(&bench.mmio, reg::VIRTIO_MMIO_QUEUE_READY), 1);
    }
    write32(&bench.mmio, reg::VIRTIO_MMIO_DRIVER_FEATURES, 0);
    write32(&bench.mmio, reg::VIRTIO_MMIO_STATUS, 3);
    assert_eq!((bench.mmio.save(), bench.device_status()), (before, 15));
    bench.read(0, 0, &[(DATA, 512)]);
    assert_eq!(bench.answers(1), [(0, 513)]);
}

#[test]
fn queues_that_are_none_break_the_device_when_it_starts() {
    let good = Ring::new(0, 0x1_0000, 64);
    for (ring, why) in [
        (Ring { size: 0, ..good.clone() }, "no entries"),
        (Ring { size: 63, ..good.clone() }, "63 entries"),
        (Ring { size: 128, ..good.clone() }, "too many entries"),
        (Ring { desc: 0x1_0008, ..good.clone() }, "a table that is not aligned"),
        (Ring { avail: 0x1_2001, ..good.clone() }, "an available ring that is not aligned"),
        (Ring { used: 0x1_3002, ..good.clone() }, "a used ring that is not aligned"),
        (Ring { desc: END - 512, ..good.clone() }, "a table across the end"),
        (Ring { avail: END, ..good.clone() }, "an available ring behind the end"),
        (Ring { avail: 0, ..good.clone() }, "an available ring at 0"),
        (Ring { used: u64::MAX - 3, ..good.clone() }, "a used ring that wraps"),
    ] {
        let bench = Bench::idle(options());
        agree(&bench.mmio, 0);
        place_queue(&bench.mmio, &ring);
        write32(&bench.mmio, reg::VIRTIO_MMIO_QUEUE_READY, 1);
        write32(&bench.mmio, reg::VIRTIO_MMIO_STATUS, 15);
        assert_eq!(bench.device_status(), 15 | 64, "{why}");
        bench.step();
        bench.reset();
        assert_eq!(bench.device_status(), 0, "{why}");
        bench.start(false);
    }
}

#[test]
fn a_driver_that_never_stops_does_not_keep_the_worker() {
    let mut bench = Bench::new();
    for n in 0..60 {
        bench.request(n, (0x99, 0), &[], false);
    }
    // Rings and buffers may lie over each other: the guest only hurts itself.
    for _ in 0..4 {
        bench.ring.offer(&bench.memory, 0);
    }
    assert_eq!(bench.step(), Next::Now);
    assert_eq!(bench.step(), Next::Idle);
    assert_eq!(bench.ring.used(&bench.memory).len(), 64);
    let overlap = Ring { avail: 0x1_0000, used: 0x1_0000, ..Ring::new(0, 0x1_0000, 64) };
    let mut bench = Bench::idle(options());
    bench.ring = overlap;
    bench.start(true);
    for head in 0..64 {
        bench.ring.offer(&bench.memory, head);
        bench.step();
    }
}
