//! Forks that are refused, of a guest whose disk is a raw file that is written in place.

use super::*;

/// What sector 300 of the file holds.
fn in_the_file(bench: &Bench) -> [u8; 512] {
    let file = File::open(bench.folder.path().join("disk.raw")).unwrap();
    let mut bytes = [0; 512];
    file.read_exact_at(&mut bytes, 300 * SECTOR).unwrap();
    bytes
}

/// From its first fork on, a raw disk's writes go elsewhere. A fork that did not happen is none.
#[test]
fn a_refused_fork_leaves_a_raw_disk_to_be_written_in_place() {
    let Some(host) = host() else { return };
    let bench = Bench::new(&host);
    let options = DiskOptions { direct: true, ..DiskOptions::default() };
    let disk = Disk::open_raw(&bench.folder.path().join("disk.raw"), false, options).unwrap();
    let guest = bench.guest_on(disk, RuleSet::Busy, Policy::Reissue, PAYLOAD);
    let mut driver = Driver::start(&guest);
    bench.held(0).hold();
    driver.ask(&guest, 0, IN, 100, (DATA, 512));
    wait_until_begun(&guest, 1);
    for refused in [guest.fork(nowhere()).err(), guest.snapshot().err()] {
        assert!(matches!(refused, Some(GuestError::Space(_))), "a page is pinned");
    }
    bench.held(0).release_all();
    driver.answers(&guest, 1);
    let mut save = |byte: u8| {
        write(&guest, DATA + 0x2000, &[byte; 512]);
        driver.ask(&guest, 1, OUT, 300, (DATA + 0x2000, 512));
        driver.answers(&guest, 1);
    };
    save(0x33);
    assert_eq!(in_the_file(&bench), [0x33; 512]);
    // One that does happen keeps the file for the child.
    let (child, _) = guest.fork(nowhere()).unwrap();
    save(0x44);
    assert_eq!(in_the_file(&bench), [0x33; 512]);
    drop(child);
}
