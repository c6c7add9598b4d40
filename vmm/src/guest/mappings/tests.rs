//! Many guests at once: what the kernel has of their mappings is not more than was taken from the budget.

use pincow_guest_protocol::Command;
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

/// Of the whole process, without those of windows and layers: what of these there is depends on what was written.
fn in_the_kernel() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| !line.contains("memfd:pincow-layer")).count()
}

/// Other tests of this process come and go, and the root gives mappings back, so that it is tried again. The C
/// library keeps stacks of threads that have ended, so that a clone may take fewer new mappings than it has: one that
/// it shares with KVM, a stack and its guard page, at least.
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
            let more = in_the_kernel().saturating_sub(before);
            let less = free.saturating_sub(backing.free_mappings());
            let taken: usize = clones.iter().map(|clone| clone._mappings.count).sum();
            drop(clones);
            println!("{sharing:?}: {more} mappings of {GUESTS} clones, {less} from the budget");
            assert_eq!(taken, GUESTS * (OF_A_GUEST + OF_A_VCPU));
            (GUESTS * 3..=GUESTS * OF_A_VCPU).contains(&more) && less >= taken
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
