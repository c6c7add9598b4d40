//! What is the parent's and what the child's.

use std::io::Write;

use super::super::packet::*;
use super::super::*;
use super::bench::*;
use crate::virtio::Next;

const RESET: [u8; 4] = [0; 4];

#[test]
fn connections_go_on_in_the_parent_and_the_child_is_told() {
    for event_idx in [false, true] {
        let mut parent = Bench::with(event_idx);
        let (ports, mut host) = parent.host_opens();
        let mut child = parent.copy_as(CID);
        let interrupts = child.line.clone();
        child.settle();
        assert_eq!(child.events(), [(0, RESET.to_vec())]);
        assert!(interrupts.0.load(std::sync::atomic::Ordering::Acquire) > 0);
        // What the child's driver still believes in is reset.
        child.say(header(ports, Op::Data), b"who?");
        assert_eq!(child.ops(), [(ports, Op::Reset as u16)]);
        parent.say(header(ports, Op::Data), b"it is me");
        assert_eq!(read(&mut host), b"it is me");
        host.write_all(b"hello").unwrap();
        assert_eq!(parent.heard()[0].1, b"hello");
        assert_eq!((child.ops(), child.streams(), parent.streams()), (vec![], 0, 1));
        assert_eq!(parent.events(), []);
    }
}

#[test]
fn programs_wait_until_the_childs_driver_has_closed_what_was_open() {
    for event_idx in [false, true] {
        let parent = Bench::with(event_idx);
        let mut child = parent.copy_as(CID);
        let waiting = child.connect("CONNECT 1024\n");
        assert_eq!(child.ops(), []);
        assert_eq!(child.events().len(), 1);
        if event_idx {
            assert_eq!(child.event.avail_event(&child.memory), child.event.next_avail);
        }
        child.event_buffer(0);
        assert_eq!(child.ops()[0].1, Op::Request as u16);
        child.host_opens();
        drop(waiting);
    }
}

#[test]
fn a_driver_without_room_for_events_is_told_when_it_has_some() {
    let mut parent = Bench::idle();
    crate::virtio::test_driver::start(
        &parent.mmio,
        &[&parent.rx, &parent.tx, &parent.event],
        false,
    );
    parent.buffers(0..8);
    let mut child = parent.copy_as(CID);
    let grandchild = child.copy_as(CID);
    for mut bench in [child.copy_as(CID), grandchild] {
        let _waiting = bench.connect("CONNECT 1024\n");
        assert_eq!((bench.ops(), bench.events()), (vec![], vec![]));
        bench.event_buffer(3);
        bench.settle();
        assert_eq!(bench.events(), [(3, RESET.to_vec())]);
        bench.event_buffer(3);
        assert_eq!(bench.ops()[0].1, Op::Request as u16);
    }
    // One that has no such queue is not told and not waited for.
    let mut parent = Bench::idle();
    crate::virtio::test_driver::start(&parent.mmio, &[&parent.rx, &parent.tx], false);
    parent.buffers(0..8);
    child = parent.copy_as(CID);
    child.host_opens();
}

#[test]
fn packets_that_were_available_are_the_parents() {
    let mut parent = Bench::new();
    let (ports, mut host) = parent.host_opens();
    parent.offer(header(ports, Op::Data), b"once");
    let mut child = parent.copy_as(CID);
    let mut grandchild = child.copy_as(CID);
    for bench in [&mut child, &mut grandchild] {
        bench.settle();
        assert_eq!(bench.said(), [(0, 0)]);
        assert_eq!((bench.counts().left, bench.counts().taken), (1, 0));
        assert_eq!(bench.ops(), []);
        // What comes after the cut is the child's own.
        bench.say(header(ports, Op::Data), b"mine");
        assert_eq!(bench.ops(), [(ports, Op::Reset as u16)]);
    }
    parent.settle();
    assert_eq!(read(&mut host), b"once");
    assert_eq!(parent.said(), [(0, 0)]);
}

#[test]
fn a_child_may_have_a_cid_of_its_own() {
    let parent = Bench::new();
    let before = parent.mmio.save().signals.generation;
    let mut child = parent.copy_as(42);
    assert_eq!(child.config(0, 8), [42, 0, 0, 0, 0, 0, 0, 0]);
    child.settle();
    assert_eq!(child.mmio.save().signals.generation, before + 1);
    child.event_buffer(0);
    let _host = child.connect("CONNECT 5\n");
    assert_eq!(child.heard()[0].0.dst_cid, 42);
    // A packet from the old one is none of this guest.
    child.say(header(Ports { host: 1, guest: 1 }, Op::Request), b"");
    assert_eq!((child.ops(), child.counts().refused), (vec![], 1));
    let own = Header { src_cid: 42, ..header(Ports { host: 1, guest: 1 }, Op::Request) };
    child.say(own, b"");
    assert_eq!(child.ops()[0].1, Op::Reset as u16);
    assert_eq!(parent.copy_as(CID).mmio.save().signals.generation, before);
}

#[test]
fn a_child_without_a_socket_refuses_what_its_guest_begins() {
    let parent = Bench::new();
    let state = parent.device.park().save();
    let signals = crate::virtio::Signals::restore(parent.mmio.save().signals, Box::new(()));
    let memory = parent.memory.clone();
    let mut worker =
        VsockWorker::restore(memory, cid(CID), None, std::sync::Arc::new(signals), &state).unwrap();
    let mut parent = parent;
    parent.offer(header(Ports { host: HOST, guest: 1 }, Op::Request), b"");
    while worker.step() == Next::Now {}
    assert_eq!((worker.counts().resets, worker.counts().taken), (1, 1));
}
