use std::os::unix::fs::FileExt;
use std::sync::Arc;

use pincow_guest_protocol::storm::words;
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::disk::{Disk, Place};
use crate::drive;
use crate::guest::GuestConfig;
use crate::kvm::Host;
use crate::kvm::tests::host;
use crate::payload::PAYLOAD;
use crate::stress::tests::plan;
use crate::stress::{disk, finding};

/// A guest that runs a storm.
fn stormy(host: &Arc<Host>, plan: &Plan) -> Guest {
    let config = GuestConfig { disks: disk::make(plan).unwrap(), ..GuestConfig::default() };
    let guest = Guest::boot(host, plan.memory_bytes, plan.sharing(), config, PAYLOAD).unwrap();
    guest.machine().start().unwrap();
    drive::wait_ready(&guest).unwrap();
    storm::start(&guest, plan).unwrap();
    guest
}

/// Writes a sector of a disk behind its guest's back.
fn spoil(disk: &Disk, sector: u64, bytes: &[u8; 512]) {
    let ticket = disk.begin_write(sector, 1).unwrap();
    let [extent] = ticket.extents() else { panic!("one sector lies in one place") };
    let Place::File { file, offset } = &extent.place else { panic!("{extent:?}") };
    let mut block = vec![0; 8192];
    let start = block.as_ptr().align_offset(4096);
    block[start..start + 512].copy_from_slice(bytes);
    file.write_all_at(&block[start..start + 512], *offset).unwrap();
    ticket.complete();
}

#[test]
fn a_storm_is_in_order_while_it_goes_on_and_after_it() {
    let Some(host) = host() else { return };
    let plan = plan(1);
    let guest = stormy(&host, &plan);
    for _ in 0..10 {
        std::thread::sleep(std::time::Duration::from_millis(5));
        let paused = guest.machine().pause().unwrap();
        let seen = verify(&guest, 0, &plan).unwrap();
        assert_eq!((seen.sectors, seen.findings), (storm::SECTORS, vec![]));
        drop(paused);
    }
    assert_eq!(storm::stop(&guest, &plan).unwrap(), storm::SECTORS);
    let seen = verify(&guest, 0, &plan).unwrap();
    assert_eq!((seen.sectors, seen.findings), (storm::SECTORS, vec![]));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let Some(host) = host() else { return };
    let plan = plan(1);
    let guest = stormy(&host, &plan);
    std::thread::sleep(std::time::Duration::from_millis(200));
    storm::stop(&guest, &plan).unwrap();
    let disk = guest.disks().next().unwrap();
    spoil(disk, 77, &[0x5a; 512]);
    let found = verify(&guest, 3, &plan).unwrap().findings;
    let [finding] = &*found else { panic!("{found:?}") };
    assert_eq!((finding.kind, finding.seen_by), (Kind::Torn, finding::Witness::Host));
    assert_eq!((finding.guest, finding.sector, finding.gfn), (Some(3), Some(77), None));
    assert!(finding.found.contains("0x5a5a5a5a5a5a5a5a"), "{finding}");
    let (page, _) = lent(&guest, &plan)
        .unwrap()
        .into_iter()
        .find(|(_, state)| matches!(state, Lent::Kept | Lent::GivenUp))
        .expect("a page that no transfer and no turn of the guest's is about to change");
    let memory = guest.machine().ram().memory();
    let place = GuestAddress(page * PAGE_BYTES as u64 + 9);
    let byte: u8 = memory.read_obj(place).unwrap();
    memory.write_obj(!byte, place).unwrap();
    let found = verify(&guest, 3, &plan).unwrap().findings;
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((found[1].kind, found[1].gfn), (Kind::Corrupt, Some(page)), "{}", found[1]);
}

#[test]
fn a_guest_without_a_storm_is_found() {
    let Some(host) = host() else { return };
    let plan = plan(1);
    let guest = stormy(&host, &plan);
    let paused = guest.machine().pause().unwrap();
    let copy = Copy::of(&guest, &plan, 0).unwrap();
    assert!(copy.storm().is_some());
    // A guest may write anything there, and the monitor must look at nothing but its own copy.
    for (word, value) in [
        (words::SECTORS, 1 << 32),
        (words::FIRST, u64::MAX - 5000),
        (words::PAGES, 1 << 40),
        (words::PAGES, 0),
        (words::DEPTH, u64::MAX),
        (words::SECTOR, 1),
    ] {
        let before = drive::control_word(&guest, 0, word).unwrap();
        drive::set_control_word(&guest, 0, word, value).unwrap();
        let found = verify(&guest, 0, &plan).unwrap().findings;
        assert_eq!((found.len(), found[0].kind), (1, Kind::Corrupt), "{found:?}");
        assert_eq!(lent(&guest, &plan).unwrap(), []);
        drive::set_control_word(&guest, 0, word, before).unwrap();
    }
    assert_eq!(verify(&guest, 0, &plan).unwrap().findings, []);
    drop(paused);
}
