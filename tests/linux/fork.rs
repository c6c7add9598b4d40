//! A Linux guest is forked while it works, and both sides go on.

use std::path::Path;
use std::sync::Arc;

use pincow_vmm::disk::{Disk, DiskOptions};
use pincow_vmm::guest::{DiskConfig, Guest, PinMode, uring};
use pincow_vmm::virtio::blk::BlkOptions;

use super::console::Console;
use crate::Lab;

/// A guest and its console.
pub(crate) type Side = (Arc<Guest>, Console);

/// Forks the guest and lets the child run.
pub(crate) fn fork(parent: &Guest) -> Side {
    let console = Console::default();
    let (child, cut) = parent.fork(console.sink()).unwrap_or_else(|error| panic!("{error}"));
    child.machine().start().expect("it starts");
    println!("forked: paused {:?}, {} transfers in flight", cut.pause, cut.transfers_in_flight);
    (Arc::new(child), console)
}

/// A guest that was booted.
pub(crate) fn side((guest, console): (Guest, Console)) -> Side {
    (Arc::new(guest), console)
}

pub(crate) fn ask((guest, console): &Side, command: &str) -> String {
    console.ask(guest, command)
}

/// No side may see the other's time, memory or trouble.
pub(crate) fn has_a_clean_log((guest, console): &Side) {
    console.has_a_clean_log(guest);
}

/// Seconds since the guest's start, by its own clock.
pub(crate) fn uptime(side: &Side) -> f64 {
    let answer = ask(side, "cat /proc/uptime");
    let seconds = answer.split_whitespace().next().and_then(|word| word.parse().ok());
    seconds.unwrap_or_else(|| panic!("no time: {answer}"))
}

/// Writes a file over and over and compares what it reads with what it wrote. The number of rounds,
/// or of the round that went wrong, is in /tmp/rounds.
const MEMORY_WORK: &str = "mount -t tmpfs none /tmp; \
    (n=0; while dd if=/dev/urandom of=/tmp/a bs=64k count=8 2>/dev/null && cp /tmp/a /tmp/b && \
    cmp /tmp/a /tmp/b; do n=$((n+1)); echo $n >/tmp/n; mv /tmp/n /tmp/rounds; done; \
    echo wrong >/tmp/rounds) & sleep 1";

/// Ends the work of a side that has shown what it is to show, so that it does not delay the others.
pub(crate) fn ends_its_work(side: &Side) {
    let answer = ask(side, "kill $(jobs -p) && echo killed");
    assert!(answer.contains("killed"), "{answer}");
}

pub(crate) fn rounds(side: &Side) -> u64 {
    let answer = ask(side, "cat /tmp/rounds");
    let rounds = answer.lines().next().and_then(|line| line.trim().parse().ok());
    rounds.unwrap_or_else(|| panic!("the work went wrong: {answer}"))
}

fn goes_on(side: &Side) {
    let before = rounds(side);
    for _ in 0..60 {
        if rounds(side) >= before + 3 {
            return;
        }
        ask(side, "sleep 1");
    }
    panic!("nothing happens after round {before}:\n{}", side.1.text());
}

#[test]
fn both_sides_of_a_fork_go_on() {
    let Some(lab) = Lab::new() else { return };
    for vcpus in [1, 2] {
        let parent = side(lab.boot(&lab.linux("vmlinux", None), vcpus, Vec::new()));
        ask(&parent, MEMORY_WORK);
        goes_on(&parent);
        let before = uptime(&parent);
        let child = fork(&parent.0);
        let grandchild = fork(&child.0);
        let sides = [("parent", &parent), ("child", &child), ("grandchild", &grandchild)];
        for (name, side) in sides {
            ask(side, &format!("echo {name} >/tmp/name"));
            goes_on(side);
            assert!(uptime(side) >= before, "the time of {name} goes back");
        }
        for (name, side) in sides {
            assert_eq!(ask(side, "cat /tmp/name"), name);
            assert_eq!(ask(side, "nproc"), vcpus.to_string());
            has_a_clean_log(side);
            ends_its_work(side);
        }
    }
}

/// A disk of `sectors` zero sectors, in a file of its own.
pub(crate) fn disk(path: &Path, len_bytes: u64) -> DiskConfig {
    let file = std::fs::File::create(path).expect("a file");
    file.set_len(len_bytes).expect("room");
    let disk = Disk::open_raw(path, false, DiskOptions::default()).expect("a disk");
    let options = BlkOptions::default();
    DiskConfig { disk, direct: false, options, engine: uring(), pins: PinMode::Rules }
}

/// Writes random pages past the guest's page cache with several transfers at once, and compares what
/// is read back.
pub(crate) const DISK_WORK: &str = "mount -t tmpfs none /tmp; for w in 0 1 2 3; do (n=0; \
    while dd if=/dev/urandom of=/tmp/w$w bs=64k count=16 2>/dev/null && \
    dd if=/tmp/w$w of=/dev/vda bs=64k seek=$((w*16)) oflag=direct 2>/dev/null && \
    dd if=/dev/vda of=/tmp/r$w bs=64k count=16 skip=$((w*16)) iflag=direct 2>/dev/null && \
    cmp /tmp/w$w /tmp/r$w; do n=$((n+1)); echo $n >/tmp/n$w; mv /tmp/n$w /tmp/rounds$w; done; \
    echo wrong >/tmp/rounds$w) & done; sleep 1";

#[test]
fn both_sides_keep_their_disk() {
    let Some(lab) = Lab::new() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let disks = vec![disk(&folder.path().join("disk"), 16 << 20)];
    let mut sides = vec![side(lab.boot(&lab.linux("bzImage", None), 2, disks))];
    ask(&sides[0], DISK_WORK);
    for _ in 0..4 {
        ask(sides.last().expect("one"), "sleep 2");
        let child = fork(&sides.last().expect("one").0);
        sides.push(child);
    }
    for (number, side) in sides.iter().enumerate() {
        ask(side, "sleep 3");
        println!("side {number}");
        keeps_its_disk(side);
        ends_its_work(side);
    }
}

/// Each worker of [`DISK_WORK`] has read back what it wrote, and the kernel has nothing to say.
pub(crate) fn keeps_its_disk(side: &Side) {
    for worker in 0..4 {
        ask(side, &format!("cp /tmp/rounds{worker} /tmp/rounds"));
        assert!(rounds(side) > 0, "worker {worker}");
    }
    has_a_clean_log(side);
}
