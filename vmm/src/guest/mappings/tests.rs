//! Many guests at once: what the kernel has of their mappings is not more than was taken from the budget.

use pincow_mmu::host::mappings_in;
use pincow_mmu::rules::RuleSet;

use crate::devices::serial::nowhere;
use crate::drive;
use crate::guest::tests::everywhere;
use crate::guest::{Guest, GuestConfig};
use crate::kvm::tests::host;
use crate::payload::PAYLOAD;

use pincow_guest_protocol::Command;
use pincow_mmu::Backing;

const GUESTS: usize = 40;

/// Of the whole process.
fn in_the_kernel() -> usize {
    mappings_in(0..usize::MAX).unwrap().len()
}

/// Other tests of this process come and go, so that it is tried again. The C library keeps stacks of threads
/// that have ended, so that a clone may take fewer new mappings than it has.
#[test]
fn the_mappings_of_a_machine_come_from_the_budget() {
    let Some(host) = host() else { return };
    for sharing in everywhere(&[RuleSet::default()]) {
        let root = Guest::boot(&host, 16 << 20, sharing, GuestConfig::default(), PAYLOAD).unwrap();
        root.machine().start().unwrap();
        drive::wait_ready(&root).unwrap();
        let (snapshot, _) = root.snapshot().unwrap();
        let backing = root.realm().family().backing();
        let tried = || {
            let (before, free) = (in_the_kernel(), backing.free_mappings());
            let clones: Vec<_> = (0..GUESTS).map(|_| snapshot.spawn(nowhere()).unwrap()).collect();
            for clone in &clones {
                clone.machine().start().unwrap();
                drive::call(clone, 0, Command::Ping).unwrap();
            }
            let (more, less) = (
                in_the_kernel() as isize - before as isize,
                free as isize - backing.free_mappings() as isize,
            );
            let each = more / GUESTS as isize;
            drop(clones);
            (3..=7).contains(&each) && more <= less
        };
        assert!((0..10).any(|_| tried()), "{sharing:?}");
    }
}
