//! Guest memory that cannot be written without waiting: the worker comes back later, with nothing lost
//! and nothing done twice.

use super::bench::*;
use crate::virtio::Next;

fn block(bench: &Bench, byte: Option<u64>) {
    bench.disk.park().ports().pinner.unwritable = byte;
}

/// Steps until no transfer is in flight, and what has ended was looked at.
fn settle(bench: &Bench) {
    bench.step();
    while bench.in_flight() > 0 {
        bench.step();
    }
    bench.step();
}

/// The last byte that a request's data, status and answer take, one of each.
fn places(bench: &Bench, data: u64, len: u64) -> [u64; 3] {
    [data + len - 1, HEADERS + 16, bench.ring.used + 6 + 8 * u64::from(bench.ring.size) - 1]
}

/// Neither of these is answered while a byte is blocked that its answer takes; afterwards once.
#[test]
fn answers_come_when_they_can_be_written() {
    const GET_ID: u32 = 8;
    type Ask = fn(&mut Bench);
    let asks: [(Ask, u64, u64); 4] = [
        (|bench| bench.read(0, 7, &[(DATA + 13, 512)]), DATA + 13, 512),
        (|bench| bench.request(0, (GET_ID, 0), &[(DATA, 20)], true), DATA, 20),
        // Zeros for memory that is pinned, and so writable.
        (|bench| bench.read(0, SECTORS - 1, &[(DATA, 512)]), HEADERS + 16, 1),
        // The status of one that makes no sense.
        (|bench| bench.request(0, (99, 0), &[], false), HEADERS + 16, 1),
    ];
    for (nth, (ask, data, len)) in asks.into_iter().enumerate() {
        let mut bench = Bench::new();
        for place in places(&bench, data, len) {
            block(&bench, Some(place));
            ask(&mut bench);
            settle(&bench);
            for _ in 0..3 {
                assert_eq!(bench.rest(), Next::Soon, "{nth}, {place:#x}");
            }
            assert!(bench.ring.used(&bench.memory).is_empty(), "{nth}, {place:#x}");
            block(&bench, None);
            let answers = bench.answers(1);
            assert_eq!(answers.len(), 1, "{nth}, {place:#x}");
            assert!(matches!(bench.status(0), 0 | 2), "{nth}, {place:#x}");
            assert_eq!(bench.rest(), Next::Idle, "{nth}, {place:#x}");
        }
    }
}

#[test]
fn a_transfer_ends_before_its_answer_can_be_written() {
    let mut bench = Bench::new();
    bench.control.hold();
    bench.read(0, 5, &[(DATA + 1, 512)]);
    assert_eq!((bench.rest(), bench.in_flight()), (Next::Idle, 1));
    block(&bench, Some(DATA + 1));
    bench.control.release_all();
    settle(&bench);
    assert_eq!(bench.rest(), Next::Soon);
    assert_eq!(bench.bytes(DATA + 1, 512), [0; 512]);
    // Both sides of a fork come to the end of it.
    let mut copy = bench.copy(crate::virtio::blk::Policy::Reissue).unwrap();
    for bench in [&mut bench, &mut copy] {
        block(bench, None);
        assert_eq!(bench.answers(1), [(0, 513)]);
        assert_eq!(bench.bytes(DATA + 1, 512), original(5, 512));
    }
}

#[test]
fn a_reset_does_not_wait_for_what_is_not_answered_any_more() {
    let mut bench = Bench::new();
    bench.control.hold();
    bench.read(0, 5, &[(DATA + 1, 512)]);
    bench.rest();
    block(&bench, Some(DATA + 1));
    bench.control.release_all();
    settle(&bench);
    bench.reset();
    bench.step();
    assert_eq!(bench.device_status(), 0);
    assert_eq!(bench.bytes(DATA + 1, 512), [0; 512]);
}
