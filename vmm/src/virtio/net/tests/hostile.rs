use super::bench::*;
use crate::devices::bus::MmioDevice;
use crate::virtio::net::*;
use crate::virtio::test_driver::*;
use crate::virtio::{Device, Next};

const MIN: u32 = (HEADER_LEN + FRAME_MIN) as u32;
const MAX: u32 = (HEADER_LEN + FRAME_MAX) as u32;

/// Sends and receives a frame, as a driver does that behaves.
fn serves(bench: &mut Bench, why: &str) {
    bench.arrived();
    bench.sent();
    bench.received();
    bench.send(0, &frame(1, 60));
    bench.buffers(0..1);
    bench.far.send(&frame(2, 60)).unwrap();
    bench.settle();
    assert_eq!((bench.numbers(), bench.sent()), (vec![1], vec![(0, 0)]), "{why}");
    assert_eq!(bench.received(), [(0, 72)], "{why}");
    assert_eq!(bench.bytes(IN + 12, 60), frame(2, 60), "{why}");
}

/// Steps and expects a broken device that has answered nothing, and that works after a reset.
fn breaks(mut bench: Bench, why: &str) {
    assert_eq!(bench.step(), Next::Idle, "{why}");
    assert_eq!((bench.status(), bench.counts().malformed), (15 | 64, 1), "{why}");
    assert_eq!(
        (bench.sent(), bench.received(), bench.numbers()),
        (vec![], vec![], vec![]),
        "{why}"
    );
    let (near, far) = link();
    bench.far = far;
    bench.device.connect(Some(Box::new(near)));
    bench.restart();
    serves(&mut bench, why);
}

#[test]
fn frames_that_cannot_be_sent_are_answered_and_not_sent() {
    for (parts, why) in [
        (vec![(OUT, 0, false)], "nothing at all"),
        (vec![(OUT, 11, false)], "less than a header"),
        (vec![(OUT, 12, false)], "a header and no frame"),
        (vec![(OUT, MIN - 1, false)], "less than an Ethernet header"),
        (vec![(OUT, MAX + 1, false)], "a byte too long"),
        (vec![(OUT, u32::MAX, false)], "4 GiB"),
        (vec![(OUT, MIN, true)], "a buffer that the device writes"),
        (vec![(OUT, MIN, false), (OUT, 4, true)], "another that the device writes"),
        (vec![(END, MIN, false)], "a frame behind the end"),
        (vec![(END - 20, MIN, false)], "a frame across the end"),
        (vec![(OUT, 12, false), (u64::MAX - 3, 60, false)], "a frame that wraps"),
        (vec![(OUT + 0x1000, 72, false)], "flags of a checksum that is missing"),
        (vec![(OUT + 0x1100, 72, false)], "a segmentation that was not offered"),
    ] {
        let mut bench = Bench::new();
        bench.fill(OUT + 0x1000, &[1]);
        bench.fill(OUT + 0x1101, &[1]);
        bench.offer_tx(3, &parts);
        assert_eq!(bench.step(), Next::Idle, "{why}");
        assert_eq!((bench.sent(), bench.arrived()), (vec![(3, 0)], vec![]), "{why}");
        assert_eq!((bench.status(), bench.counts().refused), (15, 1), "{why}");
        serves(&mut bench, why);
    }
}

#[test]
fn buffers_that_are_too_small_lose_the_frame_and_stay() {
    for (parts, why) in [
        (vec![(IN, 0, true)], "no bytes"),
        (vec![(IN, 11, true)], "less than a header"),
        (vec![(IN, 12 + 59, true)], "a byte too small"),
        (vec![(IN, 1, true); 70], "a byte each"),
    ] {
        let mut bench = Bench::new();
        bench.offer_rx(0, &parts);
        bench.far.send(&frame(1, 60)).unwrap();
        bench.far.send(&frame(2, 60)).unwrap();
        assert_eq!(bench.step(), Next::Idle, "{why}");
        assert_eq!((bench.counts().dropped, bench.received()), (2, vec![]), "{why}");
        assert_eq!((bench.bytes(IN, 80), bench.status()), (vec![0; 80], 15), "{why}");
        bench.restart();
        serves(&mut bench, why);
    }
    let mut bench = Bench::new();
    bench.offer_rx(5, &[(IN, 12 + 20, true)]);
    for len in [60, 20, 14] {
        bench.far.send(&frame(1, len)).unwrap();
    }
    bench.step();
    assert_eq!(bench.received(), [(5, 32)], "a short frame fits");
}

#[test]
fn buffers_that_are_none_break_the_device() {
    for (parts, why) in [
        (vec![(IN, 2048, false)], "a buffer that the device reads"),
        (vec![(IN, 12, false), (IN, 2048, true)], "a header that the device reads"),
        (vec![(END - 100, 2048, true)], "a buffer across the end"),
        (vec![(IN, 2048, true), (u64::MAX, 2, true)], "a buffer that wraps"),
        (vec![(0, u32::MAX, true)], "4 GiB"),
    ] {
        let mut bench = Bench::new();
        bench.offer_rx(0, &parts);
        bench.far.send(&frame(1, 60)).unwrap();
        breaks(bench, why);
    }
}

#[test]
fn chains_heads_and_indices_that_are_none_break_the_device() {
    type Ruin = fn(&mut Bench, bool);
    fn ring(bench: &mut Bench, transmit: bool) -> (&mut Ring, &vm_memory::GuestMemoryMmap) {
        match transmit {
            true => (&mut bench.tx, &bench.memory),
            false => (&mut bench.rx, &bench.memory),
        }
    }
    fn put(bench: &mut Bench, transmit: bool, flags: u16, len: u32, next: u16) {
        let direction = if transmit { 0 } else { WRITE };
        let (ring, memory) = ring(bench, transmit);
        ring.put(memory, 0, Desc { address: IN, len, flags: flags | direction, next });
        ring.offer(memory, 0);
    }
    let ruins: [(Ruin, &str); 7] = [
        (|bench, transmit| put(bench, transmit, NEXT, 100, 0), "a loop"),
        (|bench, transmit| put(bench, transmit, NEXT, 100, QUEUE_SIZE), "a next beyond the table"),
        (|bench, transmit| put(bench, transmit, INDIRECT, 17, 0), "half a descriptor"),
        (|bench, transmit| put(bench, transmit, INDIRECT, u32::MAX - 15, 0), "an enormous table"),
        (
            |bench, transmit| {
                let inner = Desc { address: IN, len: 32, flags: INDIRECT, next: 0 };
                put_desc(&bench.memory, IN, 0, inner);
                put(bench, transmit, INDIRECT, 32, 0);
            },
            "a table in a table",
        ),
        (
            |bench, transmit| {
                let (ring, memory) = ring(bench, transmit);
                ring.offer(memory, QUEUE_SIZE);
            },
            "a head beyond the table",
        ),
        (
            |bench, transmit| {
                let (ring, memory) = ring(bench, transmit);
                ring.set_avail(memory, QUEUE_SIZE + 1);
            },
            "an index too far ahead",
        ),
    ];
    for (ruin, why) in ruins {
        for transmit in [true, false] {
            let mut bench = Bench::new();
            bench.far.send(&frame(1, 60)).unwrap();
            ruin(&mut bench, transmit);
            breaks(bench, why);
        }
    }
}

#[test]
fn frames_of_the_host_that_are_none_are_dropped() {
    let mut bench = Bench::new();
    bench.offer_rx(0, &[(IN, 0x2_0000, true)]);
    for len in [0, 13, FRAME_MAX + 1, FRAME_MAX + 1000] {
        bench.far.send(&vec![0x42; len]).unwrap();
        assert_eq!(bench.step(), Next::Idle, "{len}");
    }
    assert_eq!((bench.counts().dropped, bench.counts().received), (4, 0));
    assert!(bench.bytes(IN, 0x2_0000).iter().all(|&byte| byte == 0));
    bench.restart();
    serves(&mut bench, "afterwards");
}

#[test]
fn a_step_is_bounded_in_both_directions() {
    let mut bench = Bench::new();
    for head in 0..200 {
        bench.offer_tx(head, &[(OUT, 0, false)]);
    }
    let mut steps = 1;
    while bench.step() == Next::Now {
        assert!(bench.sent().len() <= MOST_FRAMES);
        steps += 1;
    }
    assert_eq!((steps, bench.counts().refused), (4, 200));

    /// A link that always has another frame.
    struct Endless(std::os::unix::net::UnixDatagram);
    impl Frames for Endless {
        fn send(&mut self, _: &[u8]) -> std::io::Result<()> {
            Ok(())
        }
        fn receive(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            buffer[..60].fill(1);
            Ok(60)
        }
        fn source(&self) -> std::os::fd::RawFd {
            std::os::fd::AsRawFd::as_raw_fd(&self.0)
        }
    }
    let mut bench = Bench::new();
    bench.device.connect(Some(Box::new(Endless(link().0))));
    bench.buffers(0..200);
    assert_eq!(bench.step(), Next::Now);
    assert_eq!(bench.received().len(), MOST_FRAMES);
    // A flood of what comes in does not keep what goes out.
    bench.send(0, &frame(1, 60));
    assert_eq!(bench.step(), Next::Now);
    assert_eq!((bench.sent(), bench.received().len()), (vec![(0, 0)], MOST_FRAMES));
    // Nor does one that no buffer is large enough for make a step without an end.
    let mut bench = Bench::new();
    bench.device.connect(Some(Box::new(Endless(link().0))));
    bench.offer_rx(0, &[(IN, 12, true)]);
    assert_eq!((bench.step(), bench.counts().dropped), (Next::Now, MOST_FRAMES as u64));
}

#[test]
fn the_configuration_space_ends_after_the_status() {
    let bench = Bench::new();
    let before = bench.mmio.save();
    assert_eq!(bench.config(0, 8), [2, 0, 0, 0, 0, 1, 1, 0]);
    assert_eq!(bench.config(6, 1), [1]);
    for (offset, len) in [(8, 1), (8, 8), (10, 2), (0x7f8, 8), (0xef8, 8), (0xeff, 1)] {
        assert_eq!(bench.config(offset, len), vec![0xff; len], "{offset:#x}");
        bench.mmio.write(0x100 + offset, &vec![0; len]);
    }
    bench.mmio.write(0x100, &[0xff; 4]);
    assert_eq!(bench.config(0, 8), [2, 0, 0, 0, 0, 1, 1, 0]);
    assert_eq!(bench.mmio.save(), before);
}

#[test]
fn live_queues_cannot_be_changed_and_others_break_the_device() {
    let mut bench = Bench::new();
    let before = bench.mmio.save();
    for ring in [Ring::new(0, 0x8_0000, 16), Ring::new(1, 0x8_0000, 16), Ring::new(2, 0, 16)] {
        place_queue(&bench.mmio, &ring);
        write32(&bench.mmio, 0x44, 0);
    }
    write32(&bench.mmio, 0x30, before.queue);
    assert_eq!(bench.mmio.save(), before);
    serves(&mut bench, "unchanged");
    for ring in [
        Ring { size: 255, ..Ring::new(1, TX_RING, 255) },
        Ring::new(1, TX_RING, 512),
        Ring::new(1, END - 64, 16),
        Ring { used: u64::MAX - 3, ..Ring::new(1, TX_RING, 16) },
    ] {
        let bench = Bench::idle();
        agree(&bench.mmio, 0);
        place_queue(&bench.mmio, &ring);
        write32(&bench.mmio, 0x44, 1);
        write32(&bench.mmio, 0x70, 15);
        assert_eq!((bench.status(), bench.step()), (15 | 64, Next::Idle));
    }
}

#[test]
fn doorbells_out_of_turn_and_queues_that_are_not_used_do_nothing() {
    let bench = Bench::idle();
    let rung = || bench.device.bell(0).read().is_ok();
    for queue in [0, 1, 2, u32::MAX] {
        write32(&bench.mmio, 0x50, queue);
    }
    assert!(!rung());
    bench.device.bell(1).write(u64::MAX - 1).unwrap();
    assert_eq!(bench.step(), Next::Idle);
    // Only the transmit queue is set up.
    start(&bench.mmio, &[&bench.tx], false);
    let mut bench = bench;
    bench.far.send(&frame(1, 60)).unwrap();
    bench.send(0, &frame(2, 60));
    bench.settle();
    assert_eq!((bench.numbers(), bench.sent(), bench.status()), (vec![2], vec![(0, 0)], 15));
}
