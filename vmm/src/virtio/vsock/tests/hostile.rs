//! Guests that do what no driver may, and programs of the host that do.

use std::io::Write;

use super::super::packet::*;
use super::super::*;
use super::bench::*;
use crate::devices::bus::MmioDevice;
use crate::virtio::Next;
use crate::virtio::test_driver::*;

const PORTS: Ports = Ports { host: HOST, guest: 1 };

/// Carries bytes both ways, as a device does that is whole.
fn serves(bench: &mut Bench, why: &str) {
    bench.heard();
    let (ports, mut host) = bench.host_opens();
    bench.say(header(ports, Op::Data), b"out");
    assert_eq!(read(&mut host), b"out", "{why}");
    host.write_all(b"in").unwrap();
    assert_eq!(bench.heard()[0].1, b"in", "{why}");
    bench.say(header(ports, Op::Reset), b"");
    assert_eq!(bench.status(), 15, "{why}");
}

/// Steps and expects a broken device whose streams are closed, and that works after a reset.
fn breaks(mut bench: Bench, why: &str) {
    assert_eq!(bench.step(), Next::Idle, "{why}");
    assert_eq!((bench.status(), bench.counts().malformed), (15 | 64, 1), "{why}");
    assert_eq!(bench.streams(), 0, "{why}");
    bench.restart();
    serves(&mut bench, why);
}

#[test]
fn what_is_no_packet_is_answered_and_nothing_else() {
    let len = HEADER_LEN as u32;
    for (parts, why) in [
        (vec![(OUT, 0, false)], "nothing at all"),
        (vec![(OUT, len - 1, false)], "less than a header"),
        (vec![(OUT, len, true)], "a buffer that the device writes"),
        (vec![(OUT, len, false), (OUT, 4, true)], "another that the device writes"),
        (vec![(END, len, false)], "behind the end"),
        (vec![(END - 20, len, false)], "across the end"),
        (vec![(OUT, 8, false), (u64::MAX - 3, 60, false)], "one that wraps"),
    ] {
        let mut bench = Bench::new();
        bench.fill(OUT, &header(PORTS, Op::Request).to_bytes());
        bench.offer_tx(3, &parts);
        bench.settle();
        assert_eq!((bench.said(), bench.ops()), (vec![(3, 0)], vec![]), "{why}");
        assert_eq!((bench.status(), bench.counts().refused), (15, 1), "{why}");
        serves(&mut bench, why);
    }
    let mut bench = Bench::new();
    let stranger = Header { src_cid: 4, ..header(PORTS, Op::Request) };
    bench.say(stranger, b"");
    bench.say(Header { src_cid: 3 | 1 << 32, ..stranger }, b"");
    assert_eq!((bench.ops(), bench.counts().refused), (vec![], 2));
}

#[test]
fn a_header_may_lie_in_pieces_and_behind_it_more_than_it_says() {
    let mut bench = Bench::new();
    let (ports, mut host) = bench.host_opens();
    let data = Header { len: 5, ..header(ports, Op::Data) };
    bench.fill(OUT, &data.to_bytes());
    bench.fill(OUT + 44, b"hello world");
    let bytes: Vec<_> = (0..55).map(|at| (OUT + at, 1, false)).collect();
    for parts in [&bytes[..], &[(OUT, u32::MAX, false)]] {
        bench.offer_tx(0, parts);
        bench.settle();
        assert_eq!(read(&mut host), b"hello");
    }
}

#[test]
fn packets_of_no_connection_are_reset_and_resets_are_not_answered() {
    let mut bench = Bench::new();
    for op in 0..12 {
        let header = Header { op, ..header(PORTS, Op::Data) };
        bench.say(header, b"abc");
        let expected =
            if op == Op::Reset as u16 { vec![] } else { vec![(PORTS, Op::Reset as u16)] };
        assert_eq!(bench.ops(), expected, "{op}");
    }
    // Other kinds of sockets, other machines, and a port that is none.
    let _listener = bench.listen(HOST);
    for strange in [
        Header { socket_type: 2, ..header(PORTS, Op::Request) },
        Header { socket_type: 0, ..header(PORTS, Op::Request) },
        Header { dst_cid: 1, ..header(PORTS, Op::Request) },
        Header { dst_cid: 99, ..header(PORTS, Op::Request) },
        Header { src_port: PORT_ANY, ..header(PORTS, Op::Request) },
    ] {
        bench.say(strange, b"");
        let heard = bench.heard();
        assert_eq!(heard.len(), 1, "{strange:?}");
        let (reset, _) = heard[0];
        assert_eq!(reset.op, Op::Reset as u16);
        assert_eq!((reset.src_cid, reset.dst_cid), (strange.dst_cid, strange.src_cid));
        assert_eq!((reset.src_port, reset.dst_port), (strange.dst_port, strange.src_port));
        assert_eq!(reset.socket_type, strange.socket_type);
    }
    serves(&mut bench, "afterwards");
}

#[test]
fn what_makes_no_sense_in_a_connection_ends_it() {
    let full = vec![1; BUFFER_LEN + 1];
    let packets: [(Op, &[u8], &str); 4] = [
        (Op::Request, b"", "a request for what is there"),
        (Op::Response, b"", "a second answer"),
        (Op::Data, &full, "more than there is credit for"),
        (Op::Data, b"x", "data after the end of data"),
    ];
    for (op, bytes, why) in packets {
        let mut bench = Bench::new();
        let (ports, mut host) = bench.host_opens();
        if why.contains("after") {
            bench.say(Header { flags: SHUTDOWN_SEND, ..header(ports, Op::Shutdown) }, b"");
        }
        bench.say(header(ports, op), bytes);
        assert_eq!(bench.ops(), [(ports, Op::Reset as u16)], "{why}");
        assert!(is_closed(&mut host), "{why}");
        serves(&mut bench, why);
    }
    for (header, why) in [
        (Header { op: 8, ..header(PORTS, Op::Data) }, "an operation that is none"),
        (Header { len: 1, ..header(PORTS, Op::Data) }, "bytes that are not there"),
        (Header { len: u32::MAX, ..header(PORTS, Op::Data) }, "4 GiB"),
    ] {
        let mut bench = Bench::new();
        let (ports, mut host) = bench.host_opens();
        let header = Header { src_port: ports.guest, dst_port: ports.host, ..header };
        bench.fill(OUT, &header.to_bytes());
        bench.offer_tx(0, &[(OUT, 44, false)]);
        bench.settle();
        assert_eq!(bench.ops(), [(ports, Op::Reset as u16)], "{why}");
        assert!(is_closed(&mut host), "{why}");
    }
}

#[test]
fn a_guest_cannot_answer_what_it_was_not_asked_nor_speak_before_it_answers() {
    let mut bench = Bench::new();
    for op in [Op::Data, Op::Shutdown, Op::CreditUpdate, Op::CreditRequest, Op::Request] {
        let mut stream = bench.connect("CONNECT 1024\n");
        let ports = bench.ops()[0].0;
        bench.say(header(ports, op), b"");
        assert_eq!(bench.ops(), [(ports, Op::Reset as u16)], "{op:?}");
        assert!(is_closed(&mut stream));
    }
    // The next port of the host, before there was a request from it.
    let guess = Ports { host: (1 << 30) + 5, guest: 1024 };
    bench.say(header(guess, Op::Response), b"");
    assert_eq!(bench.ops(), [(guess, Op::Reset as u16)]);
    serves(&mut bench, "afterwards");
}

#[test]
fn lies_about_credit_harm_nobody_else() {
    for (buf_alloc, fwd_cnt) in
        [(0, 0), (u32::MAX, 0), (u32::MAX, u32::MAX), (10, u32::MAX), (0, 1 << 31)]
    {
        let mut bench = Bench::new();
        let (ports, mut host) = bench.host_opens();
        bench.say(Header { buf_alloc, fwd_cnt, ..header(ports, Op::CreditUpdate) }, b"");
        assert!(host.write(&pattern(100_000)).unwrap() > 0);
        let got: usize = bench.heard().iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(got as u64 <= u64::from(buf_alloc), "{buf_alloc:#x} {fwd_cnt:#x}: {got}");
        serves(&mut bench, "another connection");
    }
}

#[test]
fn replies_are_bounded_and_wait_for_buffers() {
    let mut bench = Bench::idle();
    start(&bench.mmio, &[&bench.rx, &bench.tx, &bench.event], false);
    let mut asked = 0;
    for _ in 0..3 {
        for guest in 0..200 {
            bench.offer(header(Ports { host: 9, guest }, Op::Request), b"");
            bench.step();
            asked += 1;
        }
        bench.settle();
        if asked > MOST_REPLIES {
            break;
        }
        assert_eq!(bench.said().len(), 200);
    }
    bench.settle();
    assert_eq!(bench.said().len(), MOST_REPLIES - 200);
    assert_eq!(bench.counts().resets, MOST_REPLIES as u64);
    bench.buffers(0..64);
    assert_eq!(bench.heard().len(), asked);
    assert_eq!(bench.said().len(), asked - MOST_REPLIES);
    assert_eq!(bench.status(), 15);
}

#[test]
fn a_step_is_bounded_in_both_directions() {
    let mut bench = Bench::new();
    bench.fill(OUT, &header(PORTS, Op::Reset).to_bytes());
    for head in 0..200 {
        bench.offer_tx(head, &[(OUT, 44, false)]);
    }
    assert_eq!(bench.step(), Next::Now);
    assert_eq!(bench.said().len(), MOST_PACKETS);
    bench.settle();
    assert_eq!(bench.said().len(), 200 - MOST_PACKETS);
    let (_, mut host) = bench.host_opens();
    assert!(host.write(&pattern(200_000)).unwrap() > MOST_PACKETS * SLOT as usize);
    assert_eq!(bench.step(), Next::Now);
    assert_eq!(bench.rx.used(&bench.memory).len(), MOST_PACKETS);
}

#[test]
fn buffers_that_cannot_be_filled_break_the_device_once_there_is_something_to_say() {
    let len = HEADER_LEN as u32;
    for (parts, why) in [
        (vec![(IN, len, true)], "no place for a byte"),
        (vec![(IN, 0, true)], "no bytes"),
        (vec![(IN, len + 8, false)], "one that the device reads"),
        (vec![(IN, 10, false), (IN, 100, true)], "one that it reads first"),
        (vec![(END - 20, 60, true)], "one across the end"),
        (vec![(0, u32::MAX, true)], "4 GiB"),
    ] {
        let mut bench = Bench::idle();
        start(&bench.mmio, &[&bench.rx, &bench.tx, &bench.event], false);
        bench.offer_rx(0, &parts);
        assert_eq!((bench.step(), bench.status()), (Next::Idle, 15), "{why}");
        bench.offer(header(PORTS, Op::Request), b"");
        breaks(bench, why);
    }
    // Events, in a copy.
    for (parts, why) in [
        (vec![(EVENTS, 3, true)], "no place for an event"),
        (vec![(EVENTS, 4, false)], "one that the device reads"),
        (vec![(END - 2, 4, true)], "one across the end"),
    ] {
        let mut bench = Bench::idle();
        start(&bench.mmio, &[&bench.rx, &bench.tx, &bench.event], false);
        bench.event.chain(&bench.memory, 0, &parts);
        bench.event.offer(&bench.memory, 0);
        breaks(bench.copy_as(CID), why);
    }
}

#[test]
fn chains_heads_and_indices_that_are_none_break_the_device() {
    type Ruin = fn(&Ring, &vm_memory::GuestMemoryMmap, u16);
    fn put(ring: &Ring, memory: &vm_memory::GuestMemoryMmap, flags: u16, len: u32, next: u16) {
        ring.put(memory, 0, Desc { address: IN, len, flags, next });
        ring.clone().offer(memory, 0);
    }
    let ruins: [(Ruin, &str); 6] = [
        (|ring, memory, way| put(ring, memory, NEXT | way, 100, 0), "a loop"),
        (|ring, memory, way| put(ring, memory, NEXT | way, 100, QUEUE_SIZE), "beyond the table"),
        (|ring, memory, way| put(ring, memory, INDIRECT | way, 17, 0), "half a descriptor"),
        (|ring, memory, way| put(ring, memory, INDIRECT | way, u32::MAX - 15, 0), "a vast table"),
        (|ring, memory, _| ring.clone().offer(memory, QUEUE_SIZE), "a head beyond the table"),
        (|ring, memory, _| ring.set_avail(memory, QUEUE_SIZE + 1), "an index too far ahead"),
    ];
    for (ruin, why) in ruins {
        for queue in 0..3 {
            let mut bench = Bench::idle();
            start(&bench.mmio, &[&bench.rx, &bench.tx, &bench.event], false);
            if queue == 0 {
                bench.offer(header(PORTS, Op::Request), b"");
            }
            let (ring, way) = [(&bench.rx, WRITE), (&bench.tx, 0), (&bench.event, WRITE)][queue];
            ruin(ring, &bench.memory, way);
            let bench = if queue == 2 { bench.copy_as(CID) } else { bench };
            breaks(bench, why);
        }
    }
}

#[test]
fn the_configuration_space_is_the_cid_and_cannot_be_written() {
    let bench = Bench::new();
    let before = bench.mmio.save();
    for (offset, len) in [(8, 1), (8, 8), (0x7f8, 8), (0xeff, 1)] {
        assert_eq!(bench.config(offset, len), vec![0xff; len], "{offset:#x}");
    }
    bench.mmio.write(0x100, &[0xff; 8]);
    assert_eq!(bench.config(0, 8), [3, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bench.mmio.save(), before);
}
