use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::bench::*;
use crate::virtio::net::*;
use crate::virtio::test_driver::{read32, write32};
use crate::virtio::{Next, Reactor};

/// The interrupt status, which is acknowledged.
fn told(bench: &Bench) -> u32 {
    let status = read32(&bench.mmio, 0x60);
    write32(&bench.mmio, 0x64, status);
    status
}

fn generation(bench: &Bench) -> u32 {
    read32(&bench.mmio, 0xfc)
}

/// A link whose every use fails.
struct Broken(UnixDatagram);

impl Frames for Broken {
    fn send(&mut self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Other.into())
    }

    fn receive(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Other.into())
    }

    fn source(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[test]
fn a_link_comes_and_goes_and_the_driver_is_told() {
    let mut bench = Bench::new();
    bench.buffers(0..4);
    let before = generation(&bench);
    bench.device.connect(None);
    bench.step();
    assert_eq!((told(&bench), bench.is_up(), generation(&bench)), (2, false, before + 1));
    bench.send(0, &frame(1, 60));
    bench.step();
    assert_eq!((bench.sent(), bench.counts().lost), (vec![(0, 0)], 1));
    assert_eq!(bench.device.park().source(), None);
    let (near, far) = link();
    bench.far = far;
    bench.device.connect(Some(Box::new(near)));
    bench.far.send(&frame(2, 60)).unwrap();
    bench.step();
    assert_eq!((told(&bench), bench.is_up(), generation(&bench)), (3, true, before + 2));
    assert_eq!(bench.received(), [(0, 72)]);
    bench.send(1, &frame(3, 60));
    bench.step();
    assert_eq!(bench.numbers(), [3]);
}

#[test]
fn a_link_that_is_gone_is_unplugged() {
    let mut bench = Bench::new();
    let (near, _far) = link();
    bench.device.connect(Some(Box::new(Broken(near))));
    bench.send(0, &frame(1, 60));
    bench.step();
    assert_eq!((bench.counts().lost, bench.is_up()), (1, true), "a frame lost is not a link lost");
    bench.buffers(0..1);
    assert_eq!(bench.step(), Next::Idle);
    assert!(!bench.is_up() && told(&bench) & 2 == 2);
    assert_eq!((bench.step(), bench.status()), (Next::Idle, 15));
}

#[test]
fn a_child_without_a_link_is_disconnected_and_told() {
    let mut parent = Bench::new();
    parent.buffers(0..1);
    parent.send(0, &frame(0, 60));
    parent.step();
    told(&parent);
    let mut child = parent.copy_as(Child { plugged: false, mac: mac() });
    child.step();
    assert!(!child.is_up() && told(&child) & 2 == 2);
    assert_eq!(generation(&child), generation(&parent) + 1);
    child.sent();
    child.send(1, &frame(1, 60));
    child.step();
    assert_eq!((child.sent(), child.counts().lost), (vec![(1, 0)], 1));
    parent.step();
    assert!(parent.is_up() && told(&parent) == 0);
    // It can be plugged in later, and its children are what it is.
    let (near, far) = link();
    child.far = far;
    assert!(!child.copy_as(Child { plugged: false, mac: mac() }).is_up());
    child.device.connect(Some(Box::new(near)));
    child.far.send(&frame(2, 60)).unwrap();
    child.step();
    assert!(child.is_up());
    assert_eq!(child.received(), [(0, 72)]);
}

#[test]
fn a_child_has_the_address_that_it_is_given() {
    let parent = Bench::new();
    parent.step();
    told(&parent);
    let mac: Mac = "02:00:00:00:00:02".parse().unwrap();
    let child = parent.copy_as(Child { plugged: true, mac });
    assert_eq!([child.config(0, 4), child.config(4, 2)].concat(), mac.bytes());
    child.step();
    assert_eq!((told(&child) & 2, generation(&child)), (2, generation(&parent) + 1));
    assert_eq!([parent.config(0, 4), parent.config(4, 2)].concat(), MAC);
    let twin = parent.copy();
    twin.step();
    assert_eq!((told(&twin), generation(&twin)), (1, generation(&parent)), "nothing has changed");
    let grandchild = child.copy();
    assert_eq!([grandchild.config(0, 4), grandchild.config(4, 2)].concat(), mac.bytes());
    grandchild.step();
    assert_eq!(told(&grandchild), 1);
}

#[test]
fn what_a_driver_was_to_be_told_at_the_cut_it_is_told_on_both_sides() {
    let parent = Bench::new();
    parent.step();
    parent.device.connect(None);
    let child = parent.copy_as(Child { plugged: false, mac: mac() });
    for bench in [&parent, &child] {
        bench.step();
        assert!(!bench.is_up() && told(bench) & 2 == 2);
    }
}

#[test]
fn a_driver_that_is_not_ready_is_not_told() {
    let idle = Bench::idle();
    idle.device.connect(None);
    idle.step();
    let child = idle.copy_as(Child { plugged: true, mac: mac() });
    child.step();
    for bench in [&idle, &child] {
        assert_eq!((told(bench), bench.line.0.load(Ordering::Acquire)), (0, 0));
    }
    assert!(!idle.is_up() && child.is_up());
}

#[test]
fn a_reactor_moves_frames_both_ways() {
    let mut bench = Bench::new();
    let _reactor = Reactor::start("net", bench.device.clone()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let wait = |what: &str| {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    };
    for round in 0..3_u16 {
        bench.send(round, &frame(round.into(), 60));
        write32(&bench.mmio, 0x50, 1);
        while bench.sent().is_empty() {
            wait("a frame that goes out");
        }
        assert_eq!(bench.numbers(), [u32::from(round)]);
        // The frame is there first in one round, and the buffer in the others.
        if round == 1 {
            bench.far.send(&frame(7, 60)).unwrap();
        }
        bench.buffers(round..round + 1);
        write32(&bench.mmio, 0x50, 0);
        if round != 1 {
            std::thread::sleep(Duration::from_millis(5));
            bench.far.send(&frame(7, 60)).unwrap();
        }
        while bench.received().is_empty() {
            wait("a frame that comes in");
        }
    }
    let (near, far) = link();
    bench.device.connect(Some(Box::new(near)));
    bench.buffers(4..5);
    write32(&bench.mmio, 0x50, 0);
    far.send(&frame(8, 60)).unwrap();
    while bench.received().is_empty() {
        wait("a frame over another link");
    }
}
