use super::bench::*;
use crate::virtio::Next;
use crate::virtio::net::*;
use crate::virtio::test_driver::{read32, write32};

#[test]
fn the_registers_say_what_it_is() {
    let bench = Bench::idle();
    assert_eq!(read32(&bench.mmio, 0x08), 1);
    let features: Vec<u32> = [0, 1]
        .into_iter()
        .map(|page| {
            write32(&bench.mmio, 0x14, page);
            read32(&bench.mmio, 0x10)
        })
        .collect();
    // MAC, STATUS, INDIRECT_DESC, EVENT_IDX; VERSION_1.
    assert_eq!(features, [1 << 5 | 1 << 16 | 1 << 28 | 1 << 29, 1]);
    assert_eq!([bench.config(0, 4), bench.config(4, 2)].concat(), MAC);
    assert!(bench.is_up());
}

#[test]
fn frames_go_out_in_order_whatever_their_layout() {
    let mut bench = Bench::new();
    bench.send(0, &frame(1, 60));
    // The header alone, and the frame in pieces.
    bench.fill(OUT + 0x8000, &[0; HEADER_LEN]);
    bench.fill(OUT + 0x9000, &frame(2, 1514));
    let parts = [(0x8000, 12), (0x9000, 1), (0x9000, 0), (0x9001, 99), (0x9064, 1414)];
    bench.offer_tx(10, &parts.map(|(at, len)| (OUT + at, len, false)));
    // The header cut in two, the second part of it with the frame.
    bench.fill(OUT + 0xa000, &[0; HEADER_LEN]);
    bench.fill(OUT + 0xa00c, &frame(3, 14));
    bench.offer_tx(20, &[(OUT + 0xa000, 5, false), (OUT + 0xa005, 7 + 14, false)]);
    assert_eq!(bench.step(), Next::Idle);
    assert_eq!(bench.arrived(), [frame(1, 60), frame(2, 1514), frame(3, 14)]);
    assert_eq!(bench.sent(), [(0, 0), (10, 0), (20, 0)]);
    assert_eq!(bench.line.0.load(std::sync::atomic::Ordering::Acquire), 1);
    assert_eq!(bench.counts(), NetCounts { sent: 3, ..NetCounts::default() });
}

#[test]
fn frames_come_in_with_a_header_and_to_the_byte() {
    let mut bench = Bench::new();
    bench.fill(IN, &[0xaa; 0x2000]);
    bench.offer_rx(0, &[(IN, 4, true), (IN + 0x100, 20, true), (IN + 0x200, 2000, true)]);
    bench.offer_rx(7, &[(IN + 0x1000, 12 + 14, true)]);
    bench.far.send(&frame(1, 100)).unwrap();
    bench.far.send(&frame(2, 14)).unwrap();
    assert_eq!(bench.step(), Next::Idle);
    assert_eq!(bench.received(), [(0, 112), (7, 26)]);
    let parts = [bench.bytes(IN, 4), bench.bytes(IN + 0x100, 20), bench.bytes(IN + 0x200, 88)];
    assert_eq!(parts.concat(), [&HEADER[..], &frame(1, 100)].concat());
    assert_eq!(bench.bytes(IN + 0x1000, 26), [&HEADER[..], &frame(2, 14)].concat());
    for beyond in [IN + 4, IN + 0x114, IN + 0x258, IN + 0x101a] {
        assert_eq!(bench.bytes(beyond, 4), [0xaa; 4], "{beyond:#x}");
    }
    assert_eq!(bench.counts(), NetCounts { received: 2, ..NetCounts::default() });
}

#[test]
fn the_longest_frames_pass_both_ways() {
    let mut bench = Bench::new();
    let whole = frame(1, FRAME_MAX);
    bench.fill(0x18_0000, &[0; HEADER_LEN]);
    bench.fill(0x18_0000 + HEADER_LEN as u64, &whole);
    bench.offer_tx(0, &[(0x18_0000, (HEADER_LEN + FRAME_MAX) as u32, false)]);
    bench.offer_rx(0, &[(0x10_0000, 0x2_0000, true)]);
    bench.far.send(&whole).unwrap();
    bench.step();
    assert_eq!(bench.arrived(), std::slice::from_ref(&whole));
    assert_eq!(bench.received(), [(0, (HEADER_LEN + FRAME_MAX) as u32)]);
    assert_eq!(bench.bytes(0x10_0000 + HEADER_LEN as u64, FRAME_MAX), whole);
}

#[test]
fn without_buffers_nobody_looks_at_the_link() {
    let mut bench = Bench::new();
    bench.far.send(&frame(1, 60)).unwrap();
    bench.step();
    assert_eq!(
        bench.device.park().source(),
        None,
        "a readable link would wake its thread for ever"
    );
    bench.buffers(0..2);
    bench.step();
    assert_eq!(bench.received(), [(0, 72)]);
    assert!(bench.device.park().source().is_some());
    bench.far.send(&frame(2, 60)).unwrap();
    bench.step();
    assert_eq!((bench.received(), bench.device.park().source()), (vec![(1, 72)], None));
}

#[test]
fn a_frame_that_the_link_has_no_room_for_is_sent_once_later() {
    let mut bench = Bench::new();
    let all: Vec<u32> = (0..100).collect();
    for &number in &all {
        bench.send(number as u16, &frame(number, 60));
    }
    let mut arrived = Vec::new();
    for room in [0, 1, 0, 30] {
        bench.room.is(room);
        assert_eq!(bench.step(), Next::Soon, "the link is full");
        assert_eq!((bench.step(), bench.sent().len()), (Next::Soon, room));
        arrived.extend(bench.numbers());
    }
    assert_eq!(arrived, all[..31]);
    bench.room.is(1000);
    bench.settle();
    arrived.extend(bench.numbers());
    assert_eq!((arrived, bench.counts().sent, bench.counts().lost), (all, 100, 0));
}
