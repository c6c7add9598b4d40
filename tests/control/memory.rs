//! What `pincow ps` and `pincow stats` say of memory, beside what the kernel says of the process, which is
//! asked from outside: no code of pincow has a part in that.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::Value;

use super::bench::{Bench, number};

/// How the names of memfds of guests' memory begin.
const LAYER: &str = "/memfd:pincow-layer";

/// Clones, and the pages that each writes.
const CLONES: u64 = 3;
const PAGES: u64 = 1024;

/// What a guest writes beside what it is told to, at most: its stack, its mailbox.
const ASIDE_BYTES: u64 = 16 << 12;

/// What the process may come to have, or lose, between two looks at it: threads that answer requests.
const BOUND_BYTES: u64 = 1 << 20;

/// Looks until one finds the process as it was before and is afterwards.
const LOOKS: usize = 20;

/// A line of `/proc/PID/smaps_rollup`, in bytes.
fn rollup(pid: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// What the kernel charges a process for.
struct Charged {
    /// Its guests' memory: the blocks of each memfd, once, and what was copied in mappings of them.
    guests: u64,
    /// The same, and all other anonymous memory.
    all: u64,
    /// Its proportional share of what it maps of both.
    share: u64,
}

/// The part of a mapping in `/proc/PID/smaps` that is anonymous, for all mappings of the layers of guests.
fn copied_in_windows(pid: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let (mut of_a_layer, mut kib) = (false, 0);
    for line in text.lines() {
        let first = line.split_whitespace().next().unwrap_or_default();
        if !first.ends_with(':') {
            of_a_layer = line.contains(LAYER);
        } else if first == "Anonymous:" && of_a_layer {
            kib += line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap();
        }
    }
    kib * 1024
}

fn charged(pid: &str) -> Charged {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(|file| file.unwrap().path());
    let layers = files
        .filter(|file| fs::read_link(file).is_ok_and(|to| to.to_string_lossy().starts_with(LAYER)));
    let blocks: BTreeMap<u64, u64> = layers
        .map(|file| fs::metadata(file).unwrap())
        .map(|layer| (layer.ino(), layer.blocks() * 512))
        .collect();
    let blocks = blocks.values().sum::<u64>();
    Charged {
        guests: blocks + copied_in_windows(pid),
        all: blocks + rollup(pid, "Anonymous:"),
        share: rollup(pid, "Pss_Anon:") + rollup(pid, "Pss_Shmem:"),
    }
}

/// What pincow says of its process, and what the kernel does: at a moment when it says the same before and after. It may
/// make a large page of many small ones, some of which nobody had, at any time (khugepaged).
fn at_rest(bench: &Bench, pid: &str) -> (Value, Charged) {
    for _ in 0..LOOKS {
        let before = charged(pid);
        let process = bench.processes().remove(0);
        let after = charged(pid);
        if before.all.abs_diff(after.all) <= BOUND_BYTES / 4 {
            return (process, after);
        }
        println!("{} bytes, then {}", before.all, after.all);
    }
    panic!("the process is never at rest");
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
    let (before, kernel_before) = (bench.guests(), charged(&pid).guests);
    assert!(before.iter().all(|guest| unique(guest) <= ASIDE_BYTES), "{backing}: {before:?}");
    for clone in 0..CLONES {
        // The last of them writes all that the first guest has written.
        fill(&mut bench, 3 + clone, PAGES * (clone + 1) / CLONES);
    }
    let (process, Charged { guests: kernel_after, all: kernel, share }) = at_rest(&bench, &pid);
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
    assert!(is_near(sum(memory), kernel), "{backing}: the kernel charges {kernel}: {memory}");
    assert!(is_near(number(memory, "kernel_bytes"), kernel), "{backing}: {kernel}: {memory}");
    // What no page table shows is not in it.
    assert!(is_near(number(memory, "pss_bytes"), share), "{backing}: {share}: {memory}");
    assert!(share <= kernel + BOUND_BYTES, "{backing}: {share}: {memory}");
    let all = (1..=CLONES).map(|clone| (PAGES * clone / CLONES) << 12).sum::<u64>();
    let more = kernel_after - kernel_before;
    let most = all + CLONES * ASIDE_BYTES;
    assert!((all..=most).contains(&more), "{backing}: {kernel_before}, then {kernel_after}");
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
