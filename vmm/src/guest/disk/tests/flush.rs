//! Flushes of an overlay with a name, whose map follows the bytes to the device.

use super::*;
use crate::disk::overlay::{self, BaseKind, BaseSpec, NewOverlay};

const FLUSH: u32 = 4;

/// Waits until so many transfers were begun in all, and one of them is held.
fn until_begun(guest: &Guest, transfers: u64) {
    let deadline = Instant::now() + LONG;
    loop {
        let mut parked = guest.disks[0].park().unwrap();
        if guest_transfers(&parked) == transfers && parked.in_flight() == 1 {
            return;
        }
        drop(parked);
        assert!(Instant::now() < deadline, "transfer {transfers} has not begun");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn guest_transfers(parked: &ParkedDisk<'_>) -> u64 {
    parked.worker.counts().transfers
}

/// Each of the three transfers of a flush is held in turn, for as long as it likes, and the guest is
/// forked meanwhile: a fork that waited for the device would never come back.
#[test]
fn no_part_of_a_flush_is_waited_for_by_a_fork() {
    let Some(host) = host() else { return };
    let bench = Bench::new(&host);
    let path = bench.folder.path().join("overlay");
    let base = BaseSpec { path: bench.folder.path().join("disk.raw"), kind: BaseKind::Raw };
    overlay::create(&path, &NewOverlay { base: Some(base), ..NewOverlay::default() }).unwrap();
    let options = DiskOptions { direct: true, ..DiskOptions::default() };
    let disk = Disk::open(&path, false, options).unwrap();
    let guest = bench.guest_on(disk, RuleSet::default(), Policy::Reissue, PAYLOAD);
    let mut driver = Driver::start(&guest);
    write(&guest, DATA, &[0x22; 512]);
    driver.ask(&guest, 0, OUT, 200, (DATA, 512));
    driver.answers(&guest, 1);

    bench.held(0).hold();
    driver.ask(&guest, 1, FLUSH, 0, (0, 0));
    for (made, part) in ["the bytes", "the map behind them", "its own sync"].into_iter().enumerate()
    {
        until_begun(&guest, 2 + made as u64);
        let (child, cut) = guest.fork(nowhere()).unwrap();
        assert_eq!(cut.transfers_in_flight, 1, "{part}");
        // The child flushes for itself.
        let mut its_driver = driver.clone();
        its_driver.answers(&child, 1);
        assert!(driver.0.used(guest.machine().ram().memory()).is_empty(), "{part}");
        its_driver.ask(&child, 2, IN, 200, (DATA + 0x2000, 512));
        its_driver.answers(&child, 1);
        assert_eq!(read(&child, DATA + 0x2000), [0x22; 512], "{part}");
        bench.held(0).release(0);
    }
    driver.answers(&guest, 1);
    drop(guest);
    let layer = overlay::inspect(&path).unwrap().layers.remove(0);
    assert_eq!((layer.flushes_in_log, layer.mapped_clusters), (1, 1));
}
