//! Linux at work on its disk and in its memory is forked at random moments; nothing is drained.
//!
//! On a host whose KVM runs kernels, with `vmlinux`, `initrd` and `rootfs.ext4` of `images/build` in
//! $PINCOW_LINUX (or /with/linux, where `tests/npt` puts them); elsewhere there is nothing to test, and the
//! tests say so. One command: `tests/npt --only load`.
//!
//! The work is `images/guest/workload`: fio verifies direct transfers at depth 16, by libaio and by io_uring
//! at once, and memory is compared with copies. Every side that finishes has verified all that it wrote; its
//! kernel's log is clean, its clock right, its random numbers are its own, and its disk passes `e2fsck -fn`.
//! How many forks: `PINCOW_LOAD_FORKS`, 20 by default; from which random numbers: `PINCOW_LOAD_SEED`.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pincow_mmu::scenario::Random;
use pincow_vmm::guest::BackingKind;

#[path = "linux/console.rs"]
mod console;
#[path = "load/control.rs"]
mod control;
#[path = "load/disks.rs"]
mod disks;
#[path = "load/family.rs"]
mod family;
#[path = "load/killed.rs"]
mod killed;
#[path = "linux/lab.rs"]
mod lab;
#[path = "load/pace.rs"]
mod pace;
#[path = "load/side.rs"]
mod side;
#[path = "load/storm.rs"]
mod storm;
#[path = "load/verdict.rs"]
mod verdict;

use lab::Lab;
use storm::{Fate, storm};

/// Guests of the control, of which one must be seen to go wrong.
const CONTROLS: usize = 4;

/// One test has the processors at a time: a guest that gets too little of one logs a stall.
static ALONE: Mutex<()> = Mutex::new(());

fn lab() -> Option<(Lab, MutexGuard<'static, ()>)> {
    let lab = Lab::new()?;
    let root = disks::root(&lab);
    if !root.exists() {
        eprintln!("skipped: no {} (images/build)", root.display());
        return None;
    }
    Some((lab, ALONE.lock().unwrap_or_else(PoisonError::into_inner)))
}

fn number(variable: &str, usual: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(usual, |given| given.parse().expect(variable))
}

fn forks() -> u64 {
    number("PINCOW_LOAD_FORKS", 20)
}

fn seed() -> u64 {
    let seed = number("PINCOW_LOAD_SEED", 4);
    println!("PINCOW_LOAD_SEED={seed}");
    seed
}

#[test]
fn every_side_of_many_forks_finishes_its_work() {
    let Some((lab, _alone)) = lab() else { return };
    storm(&lab, BackingKind::Trap, forks(), Fate::Finishes, seed()).assert_different();
}

#[test]
fn every_side_of_many_forks_on_hostcow_finishes_its_work() {
    let Some((lab, _alone)) = lab() else { return };
    storm(&lab, BackingKind::HostCow, forks(), Fate::Finishes, seed()).assert_different();
}

#[test]
fn sides_that_are_killed_leave_the_others_whole() {
    let Some((lab, _alone)) = lab() else { return };
    storm(&lab, BackingKind::Trap, forks(), Fate::IsKilledButFor(5), seed()).assert_different();
}

#[test]
fn a_family_that_is_killed_leaves_clean_disks() {
    let Some((lab, _alone)) = lab() else { return };
    if let Some(folder) = killed::victim() {
        return killed::work_until_killed(&lab, Path::new(&folder));
    }
    let name = "a_family_that_is_killed_leaves_clean_disks";
    killed::kill_one(&lab, name, &mut Random::new(seed()));
}

#[test]
fn control_pins_that_are_ignored_are_seen() {
    let Some((lab, _alone)) = lab() else { return };
    let mut random = Random::new(seed());
    let seen = (0..CONTROLS).find_map(|_| control::what_is_seen(&lab, &mut random));
    println!("{}", seen.unwrap_or_else(|| panic!("{CONTROLS} guests have seen nothing")));
}
