//! What `pincow ps` and `pincow stats` say of memory, beside what the kernel says of the process, which is
//! asked from outside: no code of pincow has a part in that.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::Value;

use super::bench::{Bench, number};

/// Clones, and the pages that each writes.
const CLONES: u64 = 3;
const PAGES: u64 = 1024;

/// What a guest writes beside what it is told to, at most: its stack, its mailbox.
const ASIDE_BYTES: u64 = 16 << 12;

/// What the process may come to have, or lose, between two looks at it: threads that answer requests.
const BOUND_BYTES: u64 = 2 << 20;

/// A line of `/proc/PID/smaps_rollup`, in bytes.
fn rollup(pid: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// What the kernel charges: the blocks of each memfd, once, and all anonymous memory.
fn charged(pid: &str) -> u64 {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(|file| file.unwrap().path());
    let layers = files.filter(|file| {
        fs::read_link(file).is_ok_and(|to| to.to_string_lossy().starts_with("/memfd:pincow-layer"))
    });
    let blocks: BTreeMap<u64, u64> = layers
        .map(|file| fs::metadata(file).unwrap())
        .map(|layer| (layer.ino(), layer.blocks() * 512))
        .collect();
    blocks.values().sum::<u64>() + rollup(pid, "Anonymous:")
}

fn is_near(one: u64, other: u64) -> bool {
    one.abs_diff(other) <= BOUND_BYTES
}

fn unique(guest: &Value) -> u64 {
    number(&guest["memory"], "unique_bytes")
}

/// pincow's own sum.
fn sum(memory: &Value) -> u64 {
    ["unique_bytes", "shared_bytes", "other_bytes"].map(|part| number(memory, part)).iter().sum()
}

/// Has a guest write pages, and waits for its answer.
fn fill(bench: &mut Bench, id: u64, pages: u64) {
    bench.say(&format!("guest {id}\nfill 0x400 {pages} {id}"));
    bench.wait_for(&format!("guest {id}: "));
}

fn agrees(backing: &str) {
    let Some(mut bench) = Bench::with(&["--backing", backing]) else { return };
    let pid = bench.name(1).split('.').next().unwrap().to_owned();
    fill(&mut bench, 1, PAGES);
    assert!(unique(&bench.guests()[0]) >= PAGES << 12, "{backing}: nobody else has a part in it");
    let kept = bench.json(&["snapshot", &bench.name(1)])[0]["name"].as_str().unwrap().to_owned();
    bench.json(&["spawn", &kept, "--count", &CLONES.to_string()]);
    let (before, kernel_before) = (bench.guests(), charged(&pid));
    assert!(before.iter().all(|guest| unique(guest) <= ASIDE_BYTES), "{backing}: {before:?}");
    for clone in 0..CLONES {
        // The last of them writes all that the first guest has written.
        fill(&mut bench, 3 + clone, PAGES * (clone + 1) / CLONES);
    }
    let process = bench.processes().remove(0);
    let guests = process["guests"].as_array().unwrap();
    for clone in 0..CLONES {
        let written = (PAGES * (clone + 1) / CLONES) << 12;
        let (guest, had) = (&guests[1 + clone as usize], unique(&before[1 + clone as usize]));
        let has = unique(guest);
        assert!((had + written..=had + written + ASIDE_BYTES).contains(&has), "{backing}: {guest}");
        assert_eq!(number(&guest["memory"], "pinned_bytes"), 0, "{backing}");
        let stats = &bench.json(&["stats", &bench.name(3 + clone)])[0];
        assert_eq!(stats["guest"]["memory"], guest["memory"], "{backing}");
    }
    let memory = &process["memory"];
    let kernel = charged(&pid);
    assert!(is_near(sum(memory), kernel), "{backing}: the kernel charges {kernel}: {memory}");
    assert!(is_near(number(memory, "kernel_bytes"), kernel), "{backing}: {kernel}: {memory}");
    // What no page table shows is not in it.
    let share = rollup(&pid, "Pss_Anon:") + rollup(&pid, "Pss_Shmem:");
    assert!(is_near(number(memory, "pss_bytes"), share), "{backing}: {share}: {memory}");
    assert!(share <= kernel + BOUND_BYTES, "{backing}: {share}: {memory}");
    let all = (1..=CLONES).map(|clone| (PAGES * clone / CLONES) << 12).sum::<u64>();
    assert!(is_near(kernel - kernel_before, all), "{backing}: {kernel_before}, then {kernel}");
    // The control: without what one guest has written, or with what is shared counted for each, it is seen.
    let missing = sum(memory) - unique(&guests[CLONES as usize]);
    assert!(!is_near(missing, kernel), "{backing}: {memory}");
    let twice = sum(memory) + number(&guests[1]["memory"], "shared_bytes");
    assert!(!is_near(twice, kernel), "{backing}: {memory}");
    bench.end(0);
}

#[test]
fn memory_under_trap_is_what_the_kernel_charges() {
    agrees("trap");
}

#[test]
fn memory_under_hostcow_is_what_the_kernel_charges() {
    agrees("hostcow");
}
