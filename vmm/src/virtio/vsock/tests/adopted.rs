//! Streams that are handed in, and not accepted at the socket.

use std::io::Write;
use std::os::unix::net::UnixStream;

use super::super::connections::MOST_CONNECTIONS;
use super::super::packet::*;
use super::bench::*;
use crate::virtio::test_driver::write32;

/// A program of the host that is handed in, and has said `line`.
fn hand_in(bench: &Bench, line: &str) -> UnixStream {
    let (mut near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    near.write_all(line.as_bytes()).unwrap();
    bench.device.adopt(far).unwrap();
    near
}

#[test]
fn a_stream_that_is_handed_in_is_as_one_that_was_accepted() {
    let mut bench = Bench::new();
    let mut host = hand_in(&bench, "CONNECT 1024\n");
    let asked = bench.heard();
    assert_eq!((asked.len(), asked[0].0.op), (1, Op::Request as u16));
    let ports = Ports { host: asked[0].0.src_port, guest: asked[0].0.dst_port };
    assert_eq!(ports.guest, 1024);
    bench.say(header(ports, Op::Response), b"");
    bench.settle();
    assert_eq!(read(&mut host), format!("OK {}\n", ports.host).into_bytes());
    bench.say(header(ports, Op::Data), b"out");
    assert_eq!(read(&mut host), b"out");
    host.write_all(b"in").unwrap();
    assert_eq!(bench.heard()[0].1, b"in");
    // Beside it, the socket is there as before.
    bench.host_opens();
    assert_eq!((bench.status(), bench.streams()), (15, 2));
}

#[test]
fn where_no_driver_is_ready_it_is_closed() {
    let bench = Bench::idle();
    let mut early = hand_in(&bench, "CONNECT 1024\n");
    bench.step();
    assert!(is_closed(&mut early));
    let mut bench = Bench::new();
    let mut host = hand_in(&bench, "CONNECT 1024\n");
    write32(&bench.mmio, 0x70, 0);
    assert!(is_closed(&mut host), "the driver starts again");
    bench.restart();
    bench.host_opens();
}

#[test]
fn there_are_no_more_of_them_than_connections() {
    let mut bench = Bench::new();
    let mut streams: Vec<_> = (0..MOST_CONNECTIONS).map(|_| hand_in(&bench, "")).collect();
    let (_near, far) = UnixStream::pair().unwrap();
    assert!(bench.device.adopt(far).is_err(), "as many wait");
    bench.settle();
    assert_eq!(bench.streams(), MOST_CONNECTIONS);
    let mut further = hand_in(&bench, "CONNECT 1024\n");
    bench.settle();
    assert!(is_closed(&mut further), "there is no room");
    streams.pop();
    bench.settle();
    let _next = hand_in(&bench, "CONNECT 1024\n");
    assert_eq!(bench.heard().len(), 1);
}
