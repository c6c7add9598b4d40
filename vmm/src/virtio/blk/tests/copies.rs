use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::bench::*;
use crate::virtio::SignalsState;
use crate::virtio::blk::{DrainError, Policy, RestoreError};

/// Three requests in flight: a read, a bounced read and a write.
fn busy() -> Bench {
    let mut bench = Bench::new();
    bench.control.hold();
    bench.fill(DATA + 0x4000, &[0x77; 512]);
    bench.read(0, 3, &[(DATA, 1024), (DATA + 0x2000, 512)]);
    bench.read(8, 9, &[(DATA + 0x3001, 512)]);
    bench.write(16, 30, &[(DATA + 0x4000, 512)]);
    bench.step();
    assert_eq!((bench.in_flight(), bench.pins()), (3, 2));
    bench
}

fn check_reads(bench: &Bench) {
    let disk = original(3, 1536);
    assert_eq!(bench.bytes(DATA, 1024), disk[..1024]);
    assert_eq!(bench.bytes(DATA + 0x2000, 512), disk[1024..]);
    assert_eq!(bench.bytes(DATA + 0x3001, 512), original(9, 512));
}

#[test]
fn a_copy_reissues_what_was_in_flight_and_both_sides_go_on() {
    let mut parent = busy();
    let mut child = parent.copy(Policy::Reissue).unwrap();
    assert_eq!(child.disk.park().save(), parent.disk.park().save());
    assert_eq!((child.pins(), child.in_flight()), (0, 0), "nothing happens before the first step");
    let mut answers = child.answers(3);
    answers.sort_unstable();
    assert_eq!(answers, [(0, 1537), (8, 513), (16, 1)]);
    check_reads(&child);
    assert_eq!(child.disk.park().counts().reissued, 3);
    assert!(child.line.0.load(Ordering::Acquire) > 0);
    // The parent's are where they were.
    assert_eq!((parent.in_flight(), parent.pins(), parent.status(0)), (3, 2, 0xee));
    assert_eq!(parent.bytes(DATA, 1024), [0; 1024]);
    parent.control.release_all();
    assert_eq!(parent.answers(3).len(), 3);
    check_reads(&parent);
    for bench in [&mut parent, &mut child] {
        bench.read(0, 1, &[(DATA, 512)]);
        assert_eq!(bench.answers(1), [(0, 513)]);
        assert_eq!((bench.pins(), bench.status(0)), (0, 0));
    }
}

#[test]
fn a_copy_can_fail_them_instead() {
    let parent = busy();
    let mut child = parent.copy(Policy::Error).unwrap();
    assert_eq!(child.answers(3), [(0, 0), (8, 0), (16, 1)]);
    assert_eq!([0, 8, 16].map(|head| child.status(head)), [1, 1, 1]);
    assert_eq!((child.pins(), child.disk.park().counts().reissued), (0, 0));
    let abandoned = [(false, 3), (false, 9), (true, 30)];
    assert_eq!(child.disk.park().ports().disk.abandoned, abandoned);
    assert_eq!(parent.in_flight(), 3);
}

#[test]
fn a_disk_hears_of_inherited_requests_that_fail_or_are_dropped_and_of_no_others() {
    let parent = busy();
    // Reissued and failed.
    let mut child = parent.copy(Policy::Reissue).unwrap();
    child.control.fail(1, libc::EIO);
    child.answers(3);
    child.control.fail(1, libc::EIO);
    child.read(0, 1, &[(DATA, 512)]);
    child.answers(1);
    assert_eq!(child.disk.park().ports().disk.abandoned, [(false, 3)]);
    // Reset before they were begun, and while they run.
    let child = parent.copy(Policy::Reissue).unwrap();
    child.reset();
    let abandoned = [(false, 3), (false, 9), (true, 30)];
    assert_eq!(child.disk.park().ports().disk.abandoned, abandoned);
    let child = parent.copy(Policy::Reissue).unwrap();
    child.control.hold();
    child.step();
    child.reset();
    child.control.release_all();
    while child.device_status() != 0 {
        child.step();
    }
    assert!(child.disk.park().ports().disk.abandoned.is_empty(), "they were done");
    parent.control.release_all();
    parent.reset();
    while parent.device_status() != 0 {
        parent.step();
    }
    assert!(parent.disk.park().ports().disk.abandoned.is_empty());
}

#[test]
fn draining_is_bounded_and_then_nothing_is_in_flight() {
    let mut parent = busy();
    let soon = Instant::now() + Duration::from_millis(30);
    assert_eq!(parent.disk.park().drain(soon), Err(DrainError { left: 3 }));
    assert!(matches!(parent.copy(Policy::Drain), Err(RestoreError::NotDrained(3))));
    parent.control.release_all();
    // A request that is available is not taken meanwhile.
    parent.read(32, 1, &[(DATA + 0x8000, 512)]);
    parent.disk.park().drain(Instant::now() + Duration::from_secs(20)).unwrap();
    assert_eq!(parent.disk.park().requests_in_flight(), 0);
    assert_eq!(parent.ring.used(&parent.memory).len(), 3);
    let mut child = parent.copy(Policy::Drain).unwrap();
    assert_eq!(child.answers(1), [(32, 513)]);
    assert_eq!(parent.answers(1), [(32, 513)]);
}

#[test]
fn a_completion_that_was_not_read_is_in_flight() {
    let mut parent = Bench::new();
    parent.read(0, 3, &[(DATA, 512)]);
    parent.step();
    while parent.in_flight() > 0 {}
    let mut child = parent.copy(Policy::Reissue).unwrap();
    assert_eq!(child.disk.park().save().ledger.entries.len(), 1);
    child.fill(DATA, &[0; 512]);
    assert_eq!(child.answers(1), [(0, 513)]);
    assert_eq!(child.bytes(DATA, 512), original(3, 512));
    assert_eq!(parent.answers(1), [(0, 513)]);
}

#[test]
fn a_copy_of_an_idle_or_broken_device_is_the_same() {
    let idle = Bench::idle(options());
    let copy = idle.copy(Policy::Reissue).unwrap();
    copy.step();
    assert_eq!((copy.mmio.save(), copy.line.0.load(Ordering::Acquire)), (idle.mmio.save(), 0));

    let mut broken = Bench::new();
    broken.ring.offer(&broken.memory, 64);
    broken.step();
    let copy = broken.copy(Policy::Reissue).unwrap();
    copy.step();
    assert!(copy.is_broken() && broken.is_broken());
    assert_eq!(copy.disk.park().counts().malformed, 0);
}

#[test]
fn damaged_states_are_refused() {
    use crate::virtio::{Mmio, MmioError};
    let parent = busy();
    let good = parent.mmio.save();
    let restore = |state| Mmio::restore(&state, parent.disk.clone()).err();
    assert_eq!(restore(good.clone()), None);
    let mut state = good.clone();
    state.signals = SignalsState { status: 0x1f, ..state.signals };
    assert!(matches!(restore(state), Some(MmioError::Signals(_))));
    let mut state = good.clone();
    state.driver_features |= 1 << 50;
    assert!(matches!(restore(state), Some(MmioError::Features { .. })));
    for change in 0..4 {
        let mut state = good.clone();
        match change {
            0 => state.queues.clear(),
            1 => state.queues[0].max_size = 32,
            2 => state.queues[0].size = 7,
            _ => state.queues[0].used_ring = 2,
        }
        assert!(matches!(restore(state), Some(MmioError::Queues { .. })), "{change}");
    }
}
