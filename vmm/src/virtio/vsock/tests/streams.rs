//! Connections of both sides, their bytes, credit and ends.

use std::io::Write;
use std::net::Shutdown;

use super::super::packet::*;
use super::super::*;
use super::bench::*;

#[test]
fn the_host_connects_and_bytes_go_both_ways() {
    for event_idx in [false, true] {
        let mut bench = Bench::with(event_idx);
        let (ports, mut host) = bench.host_opens();
        assert_eq!(ports.guest, GUEST);
        bench.say(header(ports, Op::Data), b"from the guest");
        assert_eq!(read(&mut host), b"from the guest");
        host.write_all(b"from the host").unwrap();
        let heard = bench.heard();
        assert_eq!(heard.len(), 1);
        let (header, bytes) = &heard[0];
        assert_eq!((header.op, bytes.as_slice()), (Op::Data as u16, b"from the host".as_slice()));
        assert_eq!((header.src_cid, header.dst_cid), (HOST_CID, CID.into()));
        assert_eq!((header.socket_type, header.buf_alloc), (STREAM, BUFFER_LEN as u32));
        assert_eq!(header.fwd_cnt, 14);
        assert_eq!((bench.status(), bench.streams()), (15, 1));
    }
}

#[test]
fn the_guest_connects_to_who_listens_beside_the_socket() {
    let mut bench = Bench::new();
    let (ports, mut host) = bench.guest_opens(5);
    bench.say(header(ports, Op::Data), b"ping");
    assert_eq!(read(&mut host), b"ping");
    host.write_all(b"pong").unwrap();
    assert_eq!(bench.heard()[0].1, b"pong");
    // The same ports once more, and ports where nobody is.
    bench.say(header(ports, Op::Request), b"");
    assert_eq!(bench.ops(), [(ports, Op::Reset as u16)]);
    assert!(is_closed(&mut host));
    let nobody = Ports { host: 99, guest: 6 };
    bench.say(header(nobody, Op::Request), b"");
    assert_eq!(bench.ops(), [(nobody, Op::Reset as u16)]);
    assert_eq!(bench.streams(), 0);
}

#[test]
fn a_guest_that_does_not_accept_closes_the_hosts_end() {
    let mut bench = Bench::new();
    let mut stream = bench.connect("CONNECT 1024\n");
    let ports = bench.ops()[0].0;
    bench.say(header(ports, Op::Reset), b"");
    assert!(is_closed(&mut stream));
    assert_eq!((bench.ops(), bench.streams()), (vec![], 0));
}

#[test]
fn lines_that_are_no_connect_are_closed_and_the_guest_does_not_hear_of_them() {
    let mut bench = Bench::new();
    for line in [
        "\n",
        "CONNECT\n",
        "CONNECT \n",
        "CONNECT +5\n",
        "connect 5\n",
        "CONNECT 5 \n",
        "CONNECT -1\n",
        "CONNECT 4294967295\n",
        "CONNECT 4294967296\n",
        "CONNECT 00000000000000000000005\n",
        "GET / HTTP/1.1\r\n",
    ] {
        let mut stream = bench.connect(line);
        bench.settle();
        // Bytes that were not read make it a reset.
        let closed = std::io::Read::read(&mut stream, &mut [0]);
        assert!(!matches!(closed, Ok(1..)), "{line}");
        assert_ne!(
            closed.map_err(|error| error.kind()),
            Err(std::io::ErrorKind::WouldBlock),
            "{line}"
        );
    }
    assert_eq!((bench.ops(), bench.streams()), (vec![], 0));
    // In pieces, with bytes right behind it.
    let mut stream = bench.connect("CONN");
    bench.settle();
    assert_eq!(bench.streams(), 1);
    stream.write_all(b"ECT 1024\nearly").unwrap();
    let ports = bench.ops()[0].0;
    bench.say(header(ports, Op::Response), b"");
    assert_eq!(bench.heard()[0].1, b"early");
    assert_eq!(read(&mut stream), format!("OK {}\n", ports.host).as_bytes());
}

/// Bytes go through whole although neither side has room for all of them.
#[test]
fn credit_bounds_what_is_on_its_way_in_both_directions() {
    let mut bench = Bench::new();
    let (ports, mut host) = bench.host_opens();
    let data = pattern(300_000);
    // To the guest, which has 5000 bytes of credit at a time.
    let credit =
        |got: usize, op| Header { buf_alloc: 5000, fwd_cnt: got as u32, ..header(ports, op) };
    bench.say(credit(0, Op::CreditUpdate), b"");
    let (mut put, mut got) = (0, Vec::new());
    while got.len() < data.len() {
        put += host.write(&data[put..]).unwrap_or(0);
        let bytes: Vec<u8> = bench.heard().into_iter().flat_map(|(_, bytes)| bytes).collect();
        assert!(bytes.len() <= 5000 && !bytes.is_empty());
        got.extend(bytes);
        bench.say(credit(got.len(), Op::CreditUpdate), b"");
    }
    assert!(got == data);
    // To the host, whose program reads seldom.
    let (mut sent, mut told, mut read_back) = (0, 0, Vec::new());
    while read_back.len() < data.len() {
        let room = BUFFER_LEN - (sent - told);
        let len = room.min(10_000).min(data.len() - sent);
        if len > 0 {
            bench.say(credit(got.len(), Op::Data), &data[sent..sent + len]);
            sent += len;
        } else {
            read_back.extend(read(&mut host));
        }
        for (header, _) in bench.heard() {
            assert_eq!(header.op, Op::CreditUpdate as u16);
            told = header.fwd_cnt as usize;
        }
    }
    assert!(read_back == data);
    assert_eq!(bench.status(), 15);
}

#[test]
fn a_request_for_credit_is_answered() {
    let mut bench = Bench::new();
    let (ports, mut host) = bench.host_opens();
    bench.say(header(ports, Op::Data), b"1234");
    bench.say(header(ports, Op::CreditRequest), b"");
    let heard = bench.heard();
    assert_eq!((heard.len(), heard[0].0.op, heard[0].0.fwd_cnt), (1, Op::CreditUpdate as u16, 4));
    assert_eq!(read(&mut host), b"1234");
}

#[test]
fn a_program_that_stops_writing_still_reads() {
    let mut bench = Bench::new();
    let (ports, mut host) = bench.host_opens();
    host.write_all(b"last").unwrap();
    host.shutdown(Shutdown::Write).unwrap();
    let heard = bench.heard();
    assert_eq!((heard[0].1.as_slice(), heard.len()), (b"last".as_slice(), 2));
    assert_eq!((heard[1].0.op, heard[1].0.flags), (Op::Shutdown as u16, SHUTDOWN_SEND));
    bench.say(header(ports, Op::Data), b"answer");
    assert_eq!(read(&mut host), b"answer");
    drop(host);
    let heard = bench.heard();
    assert_eq!((heard[0].0.op, heard[0].0.flags), (Op::Shutdown as u16, SHUTDOWN_BOTH));
    bench.say(header(ports, Op::Reset), b"");
    assert_eq!((bench.ops(), bench.streams()), (vec![], 0));
}

#[test]
fn a_program_that_has_closed_resets_what_still_comes() {
    let mut bench = Bench::new();
    let (ports, host) = bench.host_opens();
    drop(host);
    assert_eq!(bench.ops(), [(ports, Op::Shutdown as u16)]);
    bench.say(header(ports, Op::Data), b"too late");
    assert_eq!(bench.ops(), [(ports, Op::Reset as u16)]);
    // One that has gone before the guest was asked, and one that has gone since.
    drop(bench.connect("CONNECT 1024\n"));
    assert_eq!(bench.ops(), []);
    let stream = bench.connect("CONNECT 1024\n");
    let ports = bench.ops()[0].0;
    drop(stream);
    assert_eq!(bench.ops(), [(ports, Op::Reset as u16)]);
    assert_eq!(bench.streams(), 0);
}

#[test]
fn a_guest_that_ends_is_answered_at_once_and_its_bytes_arrive() {
    let mut bench = Bench::new();
    let (ports, mut host) = bench.host_opens();
    let data = pattern(BUFFER_LEN);
    // More than the socket holds, so that the rest waits in the device.
    let mut sent: Vec<u8> = Vec::new();
    loop {
        bench.say(header(ports, Op::Data), &data);
        sent.extend(&data);
        let heard = bench.heard();
        if heard.last().is_none_or(|(header, _)| (header.fwd_cnt as usize) < sent.len()) {
            break;
        }
    }
    bench.say(Header { flags: SHUTDOWN_SEND, ..header(ports, Op::Shutdown) }, b"");
    assert_eq!(bench.ops(), []);
    bench.say(Header { flags: SHUTDOWN_RECEIVE, ..header(ports, Op::Shutdown) }, b"");
    assert_eq!(bench.ops(), [(ports, Op::Reset as u16)]);
    assert_eq!(bench.streams(), 1);
    let mut got = Vec::new();
    while got.len() < sent.len() {
        got.extend(read(&mut host));
        bench.settle();
    }
    assert!(got == sent && is_closed(&mut host));
    assert_eq!((bench.ops(), bench.streams()), (vec![], 0));
}

#[test]
fn a_guest_that_only_stops_sending_still_receives() {
    let mut bench = Bench::new();
    let (ports, mut host) = bench.guest_opens(9);
    bench.say(header(ports, Op::Data), b"question");
    bench.say(Header { flags: SHUTDOWN_SEND, ..header(ports, Op::Shutdown) }, b"");
    let mut all = Vec::new();
    std::io::Read::read_to_end(&mut host, &mut all).unwrap();
    assert_eq!(all, b"question");
    host.write_all(b"answer").unwrap();
    assert_eq!(bench.heard()[0].1, b"answer");
    drop(host);
    assert_eq!(bench.ops(), [(ports, Op::Shutdown as u16)]);
}

#[test]
fn connections_take_turns() {
    let mut bench = Bench::new();
    let (first, mut flood) = bench.host_opens();
    let (second, mut quiet) = bench.host_opens();
    assert_ne!(first.host, second.host);
    assert!(flood.write(&pattern(150_000)).unwrap() > 100_000);
    quiet.write_all(b"me too").unwrap();
    let heard = bench.heard();
    let place = heard.iter().position(|(_, bytes)| bytes == b"me too").unwrap();
    assert!(place <= 1, "{place}");
    assert_eq!(heard[0].1.len(), SLOT as usize - HEADER_LEN);
}

#[test]
fn each_side_has_so_many_connections() {
    let mut bench = Bench::new();
    let streams: Vec<_> = (0..MOST_CONNECTIONS).map(|_| bench.host_opens()).collect();
    let waiting = bench.connect("CONNECT 1024\n");
    assert_eq!(bench.ops(), []);
    let listener = bench.listen(HOST);
    let mut far = Vec::new();
    for guest in 0..MOST_CONNECTIONS as u32 {
        let ports = Ports { host: HOST, guest };
        bench.say(header(ports, Op::Request), b"");
        assert_eq!(bench.ops(), [(ports, Op::Response as u16)]);
        far.push(listener.accept().unwrap());
    }
    let further = Ports { host: HOST, guest: 5000 };
    bench.say(header(further, Op::Request), b"");
    assert_eq!(bench.ops(), [(further, Op::Reset as u16)]);
    assert_eq!(bench.streams(), 2 * MOST_CONNECTIONS);
    // Where one goes, one comes.
    bench.say(header(streams[7].0, Op::Reset), b"");
    assert_eq!(bench.ops()[0].1, Op::Request as u16);
    drop((waiting, far));
}

#[test]
fn a_driver_that_starts_again_has_no_connections_and_the_host_can_connect() {
    let mut bench = Bench::new();
    let (_, mut host) = bench.host_opens();
    bench.restart();
    assert!(is_closed(&mut host));
    bench.host_opens();
}

#[test]
fn programs_wait_for_a_driver() {
    let mut bench = Bench::idle();
    let mut early = bench.connect("CONNECT 1024\n");
    bench.settle();
    assert_eq!(bench.streams(), 0);
    bench.restart();
    assert_eq!(bench.ops()[0].1, Op::Request as u16);
    assert_eq!(read(&mut early), b"");
    assert_eq!(bench.config(0, 8), [3, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bench.config(4, 4), [0; 4]);
}
