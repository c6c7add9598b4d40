//! Rule set `wait`: a disk writes to pages whose pins are its own, and does not wait for itself.

use std::sync::mpsc;
use std::thread;

use super::*;

/// A write in flight pins a page that parent and child share. A read into other bytes of that page is
/// copied by the disk's thread, whose write must wait for that pin.
#[test]
fn a_disk_never_waits_for_its_own_pins() {
    let Some(host) = host() else { return };
    let bench = Bench::new(&host);
    let guest = bench.guest(RuleSet::Wait, Policy::Reissue);
    let mut driver = Driver::start(&guest);
    write(&guest, DATA, &[0x33; 4096]);
    let (child, _) = guest.fork(nowhere()).unwrap();

    let held = bench.held(0);
    held.hold();
    driver.ask(&guest, 0, OUT, 200, (DATA, 512));
    wait_until_begun(&guest, 1);
    driver.ask(&guest, 1, IN, 100, (DATA + 1001, 512));
    wait_until_begun(&guest, 2);
    held.release(1);
    let (stopped, is_stopped) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            // The completion has been read by now, and a fork takes the disk's lock.
            while guest.disks[0].park().unwrap().in_flight() > 1 {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(50));
            stopped.send(guest.disks[0].park().unwrap().requests_in_flight()).unwrap();
        });
        let Ok(requests) = is_stopped.recv_timeout(LONG) else {
            eprintln!("the disk's thread waits for a pin of its own");
            std::process::abort();
        };
        assert_eq!(requests, 2, "the page is pinned");
    });
    assert_eq!(read(&guest, DATA + 1001), [0x33; 512]);
    held.release_all();
    driver.answers(&guest, 2);
    assert_eq!(read(&guest, DATA + 1001), original(100));
    assert_eq!((read(&child, DATA), read(&guest, DATA)), ([0x33; 1001], [0x33; 1001]));
    assert_eq!(read(&child, DATA + 1001), [0x33; 512]);
    audit(&[&guest, &child]);
}
