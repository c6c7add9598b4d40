//! The demo's shapes again and again, dropped in any order: nothing may stay behind.
//!
//! How long: `PINCOW_SOAK_SECONDS`, 3 by default; `tests/run` takes 60.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pincow_guest_protocol::Command;
use pincow_guest_protocol::map::TABLE_FIRST_PAGE;
use pincow_mmu::rules::{RuleSet, Rules};
use pincow_mmu::scenario::Random;
use pincow_vmm::devices::serial::nowhere;
use pincow_vmm::drive::{self, Churn};
use pincow_vmm::guest::{Guest, GuestConfig, Snapshot};
use pincow_vmm::kvm::Host;
use pincow_vmm::payload::PAYLOAD;

const MEMORY_BYTES: u64 = 16 << 20;
const CHURN: Churn = Churn { pages: 64, seed: 5 };
const MOST_GUESTS: usize = 8;
const STEPS_PER_ROUND: u32 = 40;

/// What a process has that could stay behind.
#[derive(Debug, PartialEq, Eq)]
struct Belongings {
    threads: usize,
    descriptors: usize,
    /// Mappings of layers; the heap's may come and go.
    layer_mappings: usize,
    kvm_mappings: usize,
}

impl Belongings {
    fn now() -> Self {
        let count = |path: &str| fs::read_dir(path).unwrap().count();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let mappings = |of: &str| maps.lines().filter(|line| line.contains(of)).count();
        Self {
            threads: count("/proc/self/task"),
            descriptors: count("/proc/self/fd"),
            layer_mappings: mappings("memfd:pincow"),
            kvm_mappings: mappings("kvm-vcpu"),
        }
    }

    /// Waits a little for threads that have ended to leave /proc.
    fn settled(expected: &Self) -> Self {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let now = Self::now();
            if now == *expected || Instant::now() > deadline {
                return now;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A family with guests that run and snapshots that wait.
struct Crowd {
    guests: Vec<Guest>,
    snapshots: Vec<Snapshot>,
}

impl Crowd {
    fn new(host: &Arc<Host>, rules: RuleSet) -> Self {
        let config = GuestConfig::default();
        let rules = Rules::from(rules);
        let root = Guest::boot(host, MEMORY_BYTES, rules, config, PAYLOAD).unwrap();
        root.machine().start().unwrap();
        drive::wait_ready(&root).unwrap();
        let fill = Command::Fill { first: TABLE_FIRST_PAGE, pages: 256, seed: 1 };
        drive::call(&root, 0, fill).unwrap();
        CHURN.start(&root).unwrap();
        CHURN.wait(&root, &[0], CHURN.pages).unwrap();
        Self { guests: vec![root], snapshots: Vec::new() }
    }

    fn add(&mut self, guest: Guest, salt: u64) {
        CHURN.salt(&guest, salt).unwrap();
        guest.machine().start().unwrap();
        self.guests.push(guest);
    }

    /// One thing that could happen.
    fn step(&mut self, random: &mut Random) {
        let any = |random: &mut Random, count: usize| random.below(count as u64) as usize;
        let guest = any(random, self.guests.len());
        match random.below(6) {
            0 | 1 if self.guests.len() < MOST_GUESTS => {
                let (child, _) = self.guests[guest].fork(nowhere()).unwrap();
                self.add(child, random.bits());
            }
            2 if self.guests.len() < MOST_GUESTS && !self.snapshots.is_empty() => {
                let snapshot = any(random, self.snapshots.len());
                let clone = self.snapshots[snapshot].spawn(nowhere()).unwrap();
                self.add(clone, random.bits());
            }
            3 if self.snapshots.len() < 3 => {
                self.snapshots.push(self.guests[guest].snapshot().unwrap().0);
            }
            4 if !self.snapshots.is_empty() => {
                self.snapshots.swap_remove(any(random, self.snapshots.len()));
            }
            5 if self.guests.len() > 1 => self.retire(guest),
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }

    /// Verifies a guest and drops it.
    fn retire(&mut self, guest: usize) {
        let guest = self.guests.swap_remove(guest);
        assert_eq!(CHURN.stop_and_verify(&guest).unwrap(), []);
    }

    /// Drops everything in a random order. The frames must all be gone before the family is.
    fn end(mut self, random: &mut Random) {
        let realm = Arc::clone(self.guests[0].realm());
        while !self.guests.is_empty() {
            self.retire(random.below(self.guests.len() as u64) as usize);
            if random.below(2) == 0 {
                self.snapshots.pop();
            }
        }
        self.snapshots.clear();
        assert_eq!(realm.family().audit([]), Ok(()));
        assert_eq!(realm.family().frames(), (0, 0), "frames are left");
        assert_eq!(realm.resident_bytes().unwrap(), 0, "memory is left");
    }
}

#[test]
fn nothing_stays_behind() {
    if !Path::new("/dev/kvm").exists() {
        println!("skipped: this machine has no /dev/kvm");
        return;
    }
    let seconds = std::env::var("PINCOW_SOAK_SECONDS").map_or(3, |text| text.parse().unwrap());
    let mut random = Random::new(seconds);
    let host = Arc::new(Host::open().unwrap());
    // The first round makes what a process makes once.
    Crowd::new(&host, RuleSet::default()).end(&mut random);
    let before = Belongings::now();
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut rounds = 0;
    while Instant::now() < deadline {
        let rules = RuleSet::ALL[rounds % RuleSet::ALL.len()];
        let mut crowd = Crowd::new(&host, rules);
        for _ in 0..STEPS_PER_ROUND {
            crowd.step(&mut random);
        }
        crowd.end(&mut random);
        rounds += 1;
    }
    assert_eq!(Belongings::settled(&before), before, "after {rounds} rounds");
    println!("{rounds} rounds in {seconds} s");
}
