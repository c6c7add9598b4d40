use virtio_bindings::virtio_mmio as reg;

use super::bench::*;
use crate::virtio::Next;
use crate::virtio::blk::Policy;
use crate::virtio::test_driver::{Ring, read32, write32};

#[test]
fn a_reset_is_done_when_the_kernel_is() {
    let mut bench = Bench::new();
    bench.control.hold();
    bench.read(0, 0, &[(DATA, 4096)]);
    bench.read(4, 8, &[(DATA + 4096, 4096)]);
    bench.step();
    bench.reset();
    // Pins stay, the status keeps its value, and nothing can be changed.
    assert_eq!((bench.pins(), bench.in_flight(), bench.device_status()), (2, 2, 15));
    write32(&bench.mmio, reg::VIRTIO_MMIO_STATUS, 1);
    write32(&bench.mmio, reg::VIRTIO_MMIO_QUEUE_NUM, 8);
    write32(&bench.mmio, reg::VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    bench.reset();
    bench.step();
    assert_eq!((bench.pins(), bench.device_status()), (2, 15));
    assert_eq!(bench.disk.park().requests_in_flight(), 0);

    bench.control.release(0);
    while bench.pins() == 2 {
        bench.step();
    }
    assert_eq!((bench.pins(), bench.device_status()), (1, 15));
    bench.control.release_all();
    while bench.pins() == 1 {
        bench.step();
    }
    assert_eq!((bench.device_status(), bench.in_flight()), (0, 0));
    // Neither status nor used ring were written.
    assert_eq!((bench.status(0), bench.status(4)), (0xee, 0xee));
    assert!(bench.ring.used(&bench.memory).is_empty());
    assert_eq!(bench.disk.park().ports().disk.open, 0);

    bench.ring = Ring::new(0, 0x1_0000, 64);
    bench.fill(0x1_0000, &[0; 0x4000]);
    bench.start(false);
    bench.read(0, 0, &[(DATA, 4096)]);
    assert_eq!(bench.answers(1), [(0, 4097)]);
}

#[test]
fn a_reset_forgets_what_was_not_begun() {
    let mut bench = Bench::new();
    bench.busy.store(1000, std::sync::atomic::Ordering::Release);
    bench.read(0, 0, &[(DATA, 4096)]);
    assert_eq!(bench.rest(), Next::Soon);
    bench.reset();
    assert_eq!(bench.device_status(), 0);
    assert_eq!(bench.step(), Next::Idle);
    assert!(bench.ring.used(&bench.memory).is_empty());
}

#[test]
fn bounced_requests_write_nothing_after_a_reset() {
    let mut bench = Bench::new();
    bench.control.hold();
    bench.fill(DATA, &[0xaa; 1024]);
    bench.read(0, 0, &[(DATA + 1, 512)]);
    bench.step();
    bench.reset();
    assert_eq!(bench.device_status(), 15);
    bench.control.release_all();
    while bench.device_status() != 0 {
        bench.step();
    }
    assert_eq!(bench.bytes(DATA, 1024), [0xaa; 1024]);
}

#[test]
fn registers_are_as_new_after_a_reset() {
    let bench = Bench::new();
    bench.reset();
    assert_eq!(bench.device_status(), 0);
    assert_eq!(read32(&bench.mmio, reg::VIRTIO_MMIO_QUEUE_READY), 0);
    assert_eq!(read32(&bench.mmio, reg::VIRTIO_MMIO_INTERRUPT_STATUS), 0);
    assert_eq!(bench.mmio.save(), Bench::idle(options()).mmio.save());
}

#[test]
fn a_copy_made_during_a_reset_is_a_reset_device() {
    let mut bench = Bench::new();
    bench.control.hold();
    bench.read(0, 0, &[(DATA, 4096)]);
    bench.step();
    bench.reset();
    let copy = bench.copy(Policy::Drain).unwrap();
    assert_eq!((bench.device_status(), copy.device_status()), (15, 0));
    assert_eq!((bench.pins(), copy.pins()), (1, 0));
}
