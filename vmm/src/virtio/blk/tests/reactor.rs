use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use virtio_bindings::virtio_mmio as reg;

use super::bench::*;
use crate::virtio::Reactor;
use crate::virtio::blk::Policy;
use crate::virtio::device::Device;
use crate::virtio::test_driver::{read32, write32};

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn doorbells_wake_it_and_interrupts_come_out() {
    let mut bench = Bench::new();
    let _reactor = Reactor::start("disk", bench.disk.clone()).unwrap();
    for n in 0..50_usize {
        bench.read(0, n as u64, &[(DATA, 512)]);
        write32(&bench.mmio, reg::VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        until("an interrupt", || bench.line.0.load(Ordering::Acquire) > n);
        assert_eq!(read32(&bench.mmio, reg::VIRTIO_MMIO_INTERRUPT_STATUS), 1);
        write32(&bench.mmio, reg::VIRTIO_MMIO_INTERRUPT_ACK, 1);
        assert_eq!(read32(&bench.mmio, reg::VIRTIO_MMIO_INTERRUPT_STATUS), 0);
        assert_eq!(bench.ring.used(&bench.memory), [(0, 513)]);
        assert_eq!(bench.bytes(DATA, 512), original(n as u64, 512));
    }
}

#[test]
fn a_parked_disk_answers_nothing_and_parking_does_not_wait_for_it() {
    let mut bench = Bench::new();
    let _reactor = Reactor::start("disk", bench.disk.clone()).unwrap();
    bench.control.hold();
    bench.read(0, 3, &[(DATA, 512)]);
    write32(&bench.mmio, reg::VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    until("in flight", || bench.disk.park().requests_in_flight() == 1);
    // Nothing would end this transfer if parking waited for it.
    let parked = bench.disk.park();
    assert_eq!(parked.requests_in_flight(), 1);
    bench.control.release_all();
    std::thread::sleep(Duration::from_millis(100));
    assert!(bench.ring.used(&bench.memory).is_empty());
    drop(parked);
    until("an answer", || !bench.ring.used(&bench.memory).is_empty());
}

/// Whether the bell was rung and nobody heard it yet, as the kernel tells it (proc_pid_fdinfo(5)).
fn is_ringing(bench: &Bench) -> bool {
    let bell = bench.disk.bell(0).as_raw_fd();
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{bell}")).unwrap();
    let count = info.lines().find_map(|line| line.strip_prefix("eventfd-count:")).unwrap();
    count.trim() != "0"
}

#[test]
fn a_doorbell_that_is_heard_while_the_disk_is_parked_is_obeyed_afterwards() {
    let mut bench = Bench::new();
    let _reactor = Reactor::start("disk", bench.disk.clone()).unwrap();
    let disk = bench.disk.clone();
    let parked = disk.park();
    bench.read(0, 3, &[(DATA, 512)]);
    write32(&bench.mmio, reg::VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    // Time to hear it, for a thread that does not wait for the disk already.
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(parked.requests_in_flight(), 0);
    drop(parked);
    until("an answer", || !bench.ring.used(&bench.memory).is_empty());
}

#[test]
fn a_copy_looks_at_its_queues_although_the_original_has_heard_the_doorbell() {
    let mut original = Bench::new();
    original.read(0, 3, &[(DATA, 512)]);
    write32(&original.mmio, reg::VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    assert!(is_ringing(&original));
    original.disk.bell(0).read().unwrap();
    let mut copy = original.copy(Policy::Reissue).unwrap();
    assert!(!is_ringing(&copy));
    let _reactor = Reactor::start("disk", copy.disk.clone()).unwrap();
    until("an answer", || !copy.ring.used(&copy.memory).is_empty());
    assert!(original.ring.used(&original.memory).is_empty());
}

#[test]
fn a_reset_with_transfers_in_flight_ends_by_itself() {
    let mut bench = Bench::new();
    let reactor = Reactor::start("disk", bench.disk.clone()).unwrap();
    bench.control.hold();
    bench.read(0, 3, &[(DATA, 512)]);
    write32(&bench.mmio, reg::VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    until("pinned", || bench.pins() == 1);
    bench.reset();
    assert_eq!(bench.device_status(), 15);
    bench.control.release_all();
    until("the end of the reset", || bench.device_status() == 0);
    assert_eq!((bench.pins(), bench.status(0)), (0, 0xee));
    drop(reactor);
}
