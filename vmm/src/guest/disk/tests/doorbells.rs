//! Doorbells that a real vCPU rings, at the worst of times.

use std::thread;

use pincow_guest_protocol::devices::virtio;
use virtio_bindings::virtio_mmio as reg;

use super::*;
use crate::boot::tests::{code, elf};
use crate::virtio::test_driver::{read32, write32};

/// mov edi, QueueNotify; again: xor eax, eax; mov [rdi], eax; mov al, 7; mov [rdi], eax; jmp again.
/// There is a queue 0 and no queue 7.
fn flood() -> Vec<u8> {
    let mut program = code::set_rdi((virtio(0) + 0x50) as u32).to_vec();
    program.extend([0x31, 0xc0, 0x89, 0x07, 0xb0, 0x07, 0x89, 0x07, 0xeb, 0xf6]);
    elf(&program)
}

fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Doorbells that came to the registers and were refused.
fn refused(guest: &Guest) -> u64 {
    guest.disks[0].registers.counts().refused_writes
}

/// The guest does nothing but ring, from before its driver exists until it is stopped. The driver is
/// on the host's side and never rings.
fn survives_a_flood(host: &Arc<Host>) {
    let bench = Bench::new(host);
    let guest = bench.guest_with(RuleSet::default(), Policy::Reissue, &flood());
    until("doorbells of a queue that does not exist", || refused(&guest) > 20);

    let mut driver = Driver::start(&guest);
    bench.held(0).hold();
    driver.offer(&guest, 0, IN, 100, (DATA, 1024));
    write(&guest, DATA + 0x2000, &[0x22; 512]);
    driver.offer(&guest, 1, OUT, 200, (DATA + 0x2000, 512));
    wait_until_begun(&guest, 2);

    let (child, cut) = guest.fork(nowhere()).unwrap();
    assert_eq!(cut.transfers_in_flight, 2);
    let mut its_driver = driver.clone();
    its_driver.answers(&child, 2);
    child.machine().start().unwrap();
    its_driver.offer(&child, 2, IN, 300, (DATA + 0x4000, 512));
    its_driver.answers(&child, 1);
    assert_eq!(read(&child, DATA + 0x4000), original(300));
    assert_eq!(read(&guest, DATA + 512), [0; 512], "its transfer is held");

    // A driver that breaks its device, which then needs a reset: nothing more is taken.
    let registers = &*guest.disks[0].registers;
    driver.0.set_avail(guest.machine().ram().memory(), 0x1000);
    until("a broken device", || read32(registers, reg::VIRTIO_MMIO_STATUS) & 64 != 0);
    let requests = guest.disk_counts()[0].requests;
    let before = refused(&guest);
    until("more doorbells", || refused(&guest) > before + 20);
    assert_eq!(guest.disk_counts()[0].requests, requests);

    // A reset with transfers in flight.
    write32(registers, reg::VIRTIO_MMIO_STATUS, 0);
    assert_ne!(read32(registers, reg::VIRTIO_MMIO_STATUS), 0);
    let before = refused(&guest);
    until("more doorbells", || refused(&guest) > before + 20);
    bench.held(0).release_all();
    until("the end of the reset", || read32(registers, reg::VIRTIO_MMIO_STATUS) == 0);
    assert_eq!(read::<1>(&guest, HEADERS + 32), [0xee], "nothing is answered after a reset");

    write(&guest, RING, &[0; 0x4000]);
    let mut driver = Driver::start(&guest);
    driver.offer(&guest, 0, IN, 100, (DATA, 512));
    driver.answers(&guest, 1);
    assert_eq!(read(&guest, DATA), original(100));
    audit(&[&guest, &child]);
}

#[test]
fn a_guest_that_rings_all_the_time_harms_nobody() {
    let Some(host) = host() else { return };
    survives_a_flood(&host);
}

#[test]
fn a_guest_that_rings_all_the_time_harms_nobody_on_a_host_without_ioeventfd() {
    if host().is_none() {
        return;
    }
    survives_a_flood(&Arc::new(Host::open().unwrap().without_ioeventfd()));
}
