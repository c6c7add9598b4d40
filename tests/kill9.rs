//! kill -9 while a guest writes its disk: what it was told is there afterwards, the base of an overlay
//! is untouched, and nothing is damaged.
//!
//! # What this shows, and what it cannot
//!
//! What a process has submitted goes on without it, and what is in the kernel's page cache stays. So a
//! kill shows whatever was acknowledged and was only in the process: a write that was acknowledged
//! before it was submitted (the negative control here does that, 60 ms too early), an overlay's map that
//! was not written by the end of a flush, an order in which a half-written file says something wrong.
//! It cannot show a sync that is missing: only a machine that loses power does. That the syncs are there,
//! in their order, is for the tests of `disk::flush` in the monitor.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use pincow_guest_protocol::word;
use pincow_mmu::scenario::Random;
use pincow_tests::Pincow;
use tempfile::TempDir;

#[path = "kill9/disk.rs"]
mod disk;
#[path = "kill9/journal.rs"]
mod journal;

use disk::{Disk, SECTOR, original};
use journal::Kind;

/// Kills of the same disk, one after the other.
const ROUNDS: u64 = 6;

/// Kills among which the control must be seen.
const CONTROL_ROUNDS: u64 = 20;

fn has_kvm() -> bool {
    let there = Path::new("/dev/kvm").exists();
    if !there {
        println!("skipped: there is no /dev/kvm here");
    }
    there
}

fn keeps_what_was_acknowledged(kind: Kind) {
    if !has_kvm() {
        return;
    }
    let mut disk = Disk::new(kind);
    let mut random = Random::new(9);
    let (mut done, mut in_flight) = (0, 0);
    for round in 0..ROUNDS {
        let seen = disk.round(&mut random, false);
        assert_eq!(seen.wrong, Vec::<String>::new(), "round {round}");
        assert!(seen.flushes > 0);
        done += seen.done;
        in_flight += seen.in_flight;
    }
    println!("{kind}: {done} writes done, {in_flight} in flight at {ROUNDS} kills");
    assert!(in_flight > 0, "a kill that meets nothing in flight shows little");
}

#[test]
fn a_raw_disk_has_what_its_guest_was_told() {
    keeps_what_was_acknowledged(Kind::Raw);
}

#[test]
fn an_overlay_has_what_was_flushed_and_its_base_is_untouched() {
    keeps_what_was_acknowledged(Kind::Overlay);
}

/// The negative control: what is acknowledged before it is submitted is missed.
#[test]
fn acknowledging_early_is_seen() {
    if !has_kvm() {
        return;
    }
    for kind in [Kind::Raw, Kind::Overlay] {
        let mut random = Random::new(9);
        let wrong = (0..CONTROL_ROUNDS).any(|_| {
            let seen = Disk::new(kind).round(&mut random, true);
            !seen.wrong.is_empty()
        });
        assert!(wrong, "{kind}: {CONTROL_ROUNDS} kills have not shown it");
    }
}

/// The program itself, told what to do by its console.
#[test]
fn a_disk_on_the_command_line_has_what_was_flushed_and_a_temporary_one_is_untouched() {
    if !has_kvm() {
        return;
    }
    for (mode, kept) in [("", true), (",temporary", false)] {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = folder.path().join("disk");
        fs::write(&path, original()).unwrap();
        let disk = format!("{}{mode}", path.display());
        let mut running = Pincow::new(&["run", "--disk", &disk]).start();
        let mut stdin = running.child.stdin.take().unwrap();
        stdin.write_all(b"disk 0\nfill 0x400 8 7\nsave 0 100 64 0x400000\nflush 0\n").unwrap();
        let said = BufReader::new(running.child.stderr.take().unwrap()).lines();
        assert!(said.map_while(Result::ok).any(|line| line == "guest 1: flushed: fine"), "{mode}");
        running.child.kill().unwrap();
        running.child.wait().unwrap();
        let words = (0..8 * 512).map(|at| word(7, 0x400 + at as u64 / 512, at % 512));
        let saved: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        let mut expected = original();
        if kept {
            expected[100 * SECTOR..][..saved.len()].copy_from_slice(&saved);
        }
        assert!(fs::read(path).unwrap() == expected, "`{mode}`: {kept}");
    }
}

/// Whether a process has the file of a stress test, which has lost its name.
fn is_in_stress(pid: u32) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.flatten().filter_map(|file| fs::read_link(file.path()).ok()).any(|file| {
        let name = file.to_string_lossy();
        name.contains("pincow-stress") && name.ends_with("(deleted)")
    })
}

#[test]
fn a_stress_test_that_is_killed_leaves_nothing_behind() {
    if !has_kvm() {
        return;
    }
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dir = folder.path().display().to_string();
    let args = ["stress", "--seconds", "60", "--memory", "16M", "--dir", &dir];
    let mut running = Pincow::new(&args).start();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_in_stress(running.child.id()) {
        assert!(Instant::now() < deadline && running.child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(500));
    running.child.kill().unwrap();
    assert_eq!(running.child.wait().unwrap().code(), None, "it was in the middle");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(running.left_behind().is_empty(), "{:?}", running.left_behind());
}
