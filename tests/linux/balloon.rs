//! A Linux guest gives memory back that it does not need.

use std::time::{Duration, Instant};

use pincow_vmm::guest::GuestConfig;

use super::console::LONG;
use super::fork::{Side, ask, fork, has_a_clean_log, side};
use crate::Lab;

const MIB: u64 = 1 << 20;

/// What a guest fills and frees again.
const FILE: u64 = 64 * MIB;

/// What the balloon is to hold.
const BALLOON: u64 = 48 * MIB;

/// Writes a file of random bytes, which is compressed by nobody, and its sum.
const FILL: &str =
    "dd if=/dev/urandom of=/tmp/a bs=1M count=64 2>/dev/null && md5sum /tmp/a >/tmp/sum";

fn resident(side: &Side) -> u64 {
    side.0.realm().resident_bytes().expect("the host says")
}

/// Waits until the family has no more than `most` bytes of host memory.
fn falls_to(side: &Side, most: u64) {
    let deadline = Instant::now() + LONG;
    while resident(side) > most {
        let (now, balloon) = (resident(side), side.0.balloon());
        assert!(Instant::now() < deadline, "{} MiB, {balloon:?}", now / MIB);
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn freed_memory_goes_back_to_the_host_and_a_fork_right_afterwards_is_right() {
    let Some(lab) = Lab::new() else { return };
    let config = GuestConfig { vcpus: 2, balloon: true, ..GuestConfig::default() };
    let parent = side(lab.boot_as(&lab.linux("bzImage", None), config));
    ask(&parent, "mount -t tmpfs none /tmp; dd if=/dev/urandom of=/tmp/kept bs=1M count=8");
    ask(&parent, FILL);
    let full = resident(&parent);
    ask(&parent, "md5sum /tmp/kept >/tmp/kept.sum; rm /tmp/a");
    falls_to(&parent, full - FILE * 3 / 4);
    println!("{} MiB, then {} MiB", full / MIB, resident(&parent) / MIB);

    // More goes back meanwhile, and each side takes what it has given.
    ask(&parent, &format!("{FILL}; (sleep 1; rm /tmp/a; {FILL}) & true"));
    ask(&parent, "sleep 2");
    let child = fork(&parent.0);
    let grandchild = fork(&child.0);
    let sides = [parent, child, grandchild];
    for side in &sides {
        ask(side, "wait");
        assert_eq!(ask(side, "md5sum -c /tmp/sum"), "/tmp/a: OK");
        assert_eq!(ask(side, "md5sum -c /tmp/kept.sum"), "/tmp/kept: OK");
        has_a_clean_log(side);
        let (_, counts) = side.0.balloon().expect("it has one");
        assert_eq!(counts.malformed, 0);
        println!("{counts:?}");
    }

    // By order of the host.
    let [parent, child, _] = &sides;
    ask(child, "rm /tmp/a");
    let available = || -> u64 {
        let answer = ask(child, "sed -n 's/MemAvailable: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo");
        answer.parse().expect("a number")
    };
    let before = available();
    child.0.set_balloon(BALLOON).expect("it has one");
    holds(child, BALLOON);
    assert!(available() < before - BALLOON / 1024 / 2, "{before} kB, and {} left", available());
    assert_eq!(parent.0.balloon().expect("it has one").0.target, 0);
    child.0.set_balloon(0).expect("it has one");
    holds(child, 0);
    assert_eq!(ask(child, "md5sum -c /tmp/kept.sum"), "/tmp/kept: OK");
    has_a_clean_log(child);
}

/// Waits until the balloon holds so much.
fn holds(side: &Side, bytes: u64) {
    let deadline = Instant::now() + LONG;
    let actual = || u64::from(side.0.balloon().expect("it has one").0.actual) << 12;
    while actual() != bytes {
        assert!(Instant::now() < deadline, "{:#x} of {bytes:#x}", actual());
        std::thread::sleep(Duration::from_millis(200));
    }
}
