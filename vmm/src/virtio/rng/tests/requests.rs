use std::time::{Duration, Instant};

use super::*;
use crate::virtio::Reactor;

#[test]
fn buffers_are_filled_in_order_and_to_the_byte() {
    let mut bench = Bench::new();
    bench.ask(3, &[(DATA, 3, true), (DATA + 0x100, 0, true), (DATA + 0x200, 2, true)]);
    bench.ask(7, &[(DATA + 0x300, 1, true)]);
    assert_eq!(bench.step(), Next::Idle);
    assert_eq!(bench.used(), [(3, 5), (7, 1)]);
    assert_eq!(bench.bytes(DATA, 4), [1, 2, 3, 0]);
    assert_eq!(bench.bytes(DATA + 0x200, 3), [4, 5, 0]);
    assert_eq!(bench.bytes(DATA + 0x300, 2), [6, 0]);
    assert_eq!(bench.line.0.load(Ordering::Acquire), 1, "one interrupt for the batch");
    let counts = RngCounts { requests: 2, bytes: 6, malformed: 0 };
    assert_eq!(bench.device.park().counts(), counts);
}

#[test]
fn a_request_is_given_no_more_than_the_most() {
    let mut bench = Bench::new();
    bench.ask(0, &[(DATA, 3 * MOST_BYTES as u32, true)]);
    bench.step();
    assert_eq!(bench.used(), [(0, MOST_BYTES as u32)]);
    assert!(bench.bytes(DATA, MOST_BYTES).iter().all(|&byte| byte != 0));
    assert!(bench.bytes(DATA + MOST_BYTES as u64, 64).iter().all(|&byte| byte == 0));
}

#[test]
fn the_host_gives_other_bytes_each_time() {
    let mut draws = [[0; 600]; 2];
    for draw in &mut draws {
        HostEntropy.fill(draw).unwrap();
    }
    // The chance that this fails by itself is 2^-4800, and 2^-512 for each 64 bytes.
    assert_ne!(draws[0], draws[1]);
    assert!(draws.iter().flat_map(|draw| draw.chunks(64)).all(|part| part.iter().any(|b| *b != 0)));
    HostEntropy.fill(&mut []).unwrap();
}

#[test]
fn a_reactor_serves_what_doorbells_announce() {
    let mut bench = Bench::new();
    let _reactor = Reactor::start("rng", bench.device.clone()).unwrap();
    for head in 0..3 {
        bench.ask(head, &[(DATA, 16, true)]);
        write32(&bench.mmio, 0x50, 0);
        let deadline = Instant::now() + Duration::from_secs(20);
        while bench.used().is_empty() {
            assert!(Instant::now() < deadline, "request {head}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
