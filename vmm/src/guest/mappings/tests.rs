//! Many guests at once: what the kernel has of their mappings is not more than was taken from the budget.

use pincow_guest_protocol::Command;
use pincow_mmu::host::mappings_in;
use pincow_mmu::rules::RuleSet;

use super::*;
use crate::devices::serial::nowhere;
use crate::drive;
use crate::guest::tests::everywhere;
use crate::guest::{Guest, GuestConfig, NetConfig, Sharing, VsockConfig};
use crate::kvm::tests::host;
use crate::payload::PAYLOAD;
use crate::virtio::net::Mac;
use crate::virtio::vsock::Cid;

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

#[test]
fn a_copy_takes_as_many_mappings_as_its_original() {
    let Some(host) = host() else { return };
    let net = NetConfig { link: None, mac: Mac::try_from([2, 0, 0, 0, 0, 1]).unwrap() };
    let config = GuestConfig {
        nets: vec![net],
        rng: true,
        vsock: Some(VsockConfig { cid: Cid::try_from(3).unwrap(), socket: None }),
        balloon: true,
        ..GuestConfig::default()
    };
    let root = Guest::boot(&host, 16 << 20, Sharing::default(), config, PAYLOAD).unwrap();
    let (copy, _) = root.fork(nowhere()).unwrap();
    assert_eq!(root._mappings.count, OF_A_GUEST + OF_A_VCPU + 4 * OF_A_DEVICE);
    assert_eq!(copy._mappings.count, root._mappings.count);
}
