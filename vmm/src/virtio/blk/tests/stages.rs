//! Operations that the disk goes on with when their pieces are done, as a flush of an overlay with a
//! name is: its map comes after the bytes.

use std::time::{Duration, Instant};

use super::bench::*;
use crate::virtio::Next;
use crate::virtio::blk::Policy;

const FLUSH: u32 = 4;

/// A flush that writes two sectors of the disk's own, one after the other.
fn flushing() -> Bench {
    let mut bench = Bench::new();
    bench.disk.park().ports().disk.more = vec![(1024, vec![2; 512]), (512, vec![1; 512])];
    bench.request(0, (FLUSH, 0), &[], false);
    bench
}

/// Steps until a transfer is held, with `left` pieces of the disk's own to come after it.
fn held(bench: &Bench, left: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while bench.disk.park().ports().disk.more.len() != left || bench.in_flight() != 1 {
        assert!(Instant::now() < deadline);
        bench.step();
    }
}

#[test]
fn it_is_answered_when_the_last_is_done() {
    let mut bench = flushing();
    bench.control.hold();
    let (old, new) = (original(1, 1024), [[1; 512], [2; 512]].concat());
    for left in [2, 1, 0] {
        held(&bench, left);
        assert_eq!(bench.disk.park().requests_in_flight(), 1);
        assert!(bench.ring.used(&bench.memory).is_empty());
        let expected = if left == 0 { &[&new[..512], &old[512..]].concat() } else { &old };
        assert_eq!(&bench.on_disk(1, 1024), expected);
        bench.control.release(0);
    }
    assert_eq!(bench.answers(1), [(0, 1)]);
    assert_eq!(bench.status(0), 0);
    assert_eq!(bench.on_disk(1, 1024), new);
    assert_eq!(bench.on_disk(3, 512), original(3, 512));
    assert_eq!(bench.disk.park().ports().disk.open, 0);
}

#[test]
fn one_that_fails_ends_it_and_the_rest_is_not_done() {
    let mut bench = flushing();
    bench.control.hold();
    held(&bench, 2);
    bench.control.release(0);
    held(&bench, 1);
    bench.control.fail(1, libc::EIO);
    bench.control.release_all();
    assert_eq!(bench.answers(1), [(0, 1)]);
    assert_eq!(bench.status(0), 1);
    assert_eq!(bench.on_disk(1, 1024), original(1, 1024));
    let mut worker = bench.disk.park();
    let disk = &worker.ports().disk;
    assert_eq!((disk.open, disk.failed, disk.more.len()), (0, 1, 1));
}

#[test]
fn one_that_has_to_wait_for_another_is_asked_again() {
    let mut bench = flushing();
    bench.disk.park().ports().disk.busy_ends = 3;
    let mut soon = 0;
    while bench.disk.park().ports().disk.busy_ends > 0 {
        soon += usize::from(bench.step() == Next::Soon);
    }
    assert!(soon >= 2, "nothing else would wake it");
    assert_eq!(bench.disk.park().requests_in_flight(), 1);
    assert_eq!(bench.answers(1), [(0, 1)]);
    assert_eq!((bench.status(0), bench.on_disk(2, 512)), (0, vec![2; 512]));
}

#[test]
fn a_reset_waits_until_it_is_done_and_answers_nothing() {
    for busy_ends in [0, 3] {
        let mut bench = flushing();
        bench.disk.park().ports().disk.busy_ends = busy_ends;
        bench.control.hold();
        held(&bench, 2);
        bench.reset();
        assert_eq!(bench.device_status(), 15);
        bench.control.release_all();
        while bench.device_status() != 0 {
            bench.step();
        }
        assert_eq!(bench.on_disk(1, 1024), [[1; 512], [2; 512]].concat());
        assert_eq!((bench.status(0), bench.disk.park().ports().disk.open), (0xee, 0));
        assert!(bench.ring.used(&bench.memory).is_empty());
    }
}

#[test]
fn a_copy_begins_it_again() {
    let bench = flushing();
    bench.control.hold();
    held(&bench, 2);
    bench.control.release(0);
    held(&bench, 1);
    let mut copy = bench.copy(Policy::Reissue).unwrap();
    assert_eq!(copy.answers(1), [(0, 1)]);
    assert_eq!((copy.status(0), copy.disk.park().counts().reissued), (0, 1));
    assert_eq!(bench.status(0), 0xee);
}
