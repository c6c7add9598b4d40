//! Forks with disk transfers in flight, on the real KVM, real memory and real io_uring. A driver on
//! the host's side does what a guest's would do: the guest's own code is idle.

use std::fs::File;
use std::os::unix::fs::FileExt;

use parking_lot::Mutex;
use pincow_mmu::rules::RuleSet;
use tempfile::TempDir;
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::devices::serial::nowhere;
use crate::disk::DiskOptions;
use crate::guest::tests::everywhere;
use crate::guest::{Guest, GuestConfig, GuestError, Sharing};
use crate::io::{Held, HeldControl};
use crate::kvm::Host;
use crate::kvm::tests::host;
use crate::payload::PAYLOAD;
use crate::virtio::test_driver::{self, Ring};

mod doorbells;
mod flush;
mod refused;
mod shared_again;
mod waiting;

const MEMORY: u64 = 16 << 20;
/// Where the driver has its rings, requests and data.
const RING: u64 = 0x50_0000;
const HEADERS: u64 = 0x51_0000;
const DATA: u64 = 0x60_0000;
const SECTOR: u64 = 512;
const LONG: Duration = Duration::from_secs(30);

const IN: u32 = 0;
const OUT: u32 = 1;

/// What sector number `sector` of a new disk holds.
fn original(sector: u64) -> [u8; 512] {
    [(sector * 7 + 1) as u8; 512]
}

/// A place for disks, and what holds the transfers of each disk that is made.
struct Bench {
    folder: TempDir,
    held: Arc<Mutex<Vec<HeldControl>>>,
    host: Arc<Host>,
    /// A guest is forked once before it has anything in flight: what it writes is then a copy.
    forked_before: bool,
}

impl Bench {
    fn new(host: &Arc<Host>) -> Self {
        // A real file system: `/tmp` may not be one that transfers can be made on directly.
        let folder = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
        let file = File::create(folder.path().join("disk.raw")).unwrap();
        for sector in 0..2048 {
            file.write_all_at(&original(sector), sector * SECTOR).unwrap();
        }
        let (held, host) = (Arc::default(), Arc::clone(host));
        Self { folder, held, host, forked_before: false }
    }

    fn guest(&self, sharing: impl Into<Sharing>, inflight: Policy) -> Guest {
        self.guest_with(sharing, inflight, PAYLOAD)
    }

    fn guest_with(&self, sharing: impl Into<Sharing>, inflight: Policy, payload: &[u8]) -> Guest {
        let path = self.folder.path().join("disk.raw");
        let options = DiskOptions { direct: true, ..DiskOptions::default() };
        self.guest_on(Disk::open_above(&path, options).unwrap(), sharing, inflight, payload)
    }

    fn guest_on(
        &self,
        disk: Disk,
        sharing: impl Into<Sharing>,
        inflight: Policy,
        payload: &[u8],
    ) -> Guest {
        let controls = Arc::clone(&self.held);
        let engine: MakeEngine = Arc::new(move |entries| {
            let held = Held::new(Uring::new(entries)?).expect("event counters");
            controls.lock().push(held.control());
            Ok(Box::new(held))
        });
        let config = DiskConfig {
            disk,
            direct: true,
            options: BlkOptions::default(),
            engine,
            pins: PinMode::Rules,
        };
        let config = GuestConfig { disks: vec![config], inflight, ..GuestConfig::default() };
        let guest = Guest::boot(&self.host, MEMORY, sharing, config, payload).unwrap();
        guest.machine().start().unwrap();
        guest
    }

    /// What holds the transfers of the disk that was made as number `made`.
    fn held(&self, made: usize) -> HeldControl {
        self.held.lock()[made].clone()
    }
}

fn write(guest: &Guest, address: u64, bytes: &[u8]) {
    guest.machine().ram().memory().write_slice(bytes, GuestAddress(address)).unwrap();
}

fn read<const N: usize>(guest: &Guest, address: u64) -> [u8; N] {
    let mut bytes = [0; N];
    guest.machine().ram().memory().read_slice(&mut bytes, GuestAddress(address)).unwrap();
    bytes
}

/// A driver's view of its disk. A fork's copy goes on where the original was.
#[derive(Clone)]
struct Driver(Ring);

impl Driver {
    fn start(guest: &Guest) -> Self {
        let ring = Ring::new(0, RING, 64);
        test_driver::start(&*guest.disks[0].registers, &[&ring], false);
        Self(ring)
    }

    /// One request, with its header and status in slot `slot`.
    fn ask(&mut self, guest: &Guest, slot: u16, kind: u32, sector: u64, data: (u64, u32)) {
        self.offer(guest, slot, kind, sector, data);
        test_driver::write32(&*guest.disks[0].registers, 0x50, 0);
    }

    /// The same, and nobody rings the doorbell. A request without data has a length of 0.
    fn offer(&mut self, guest: &Guest, slot: u16, kind: u32, sector: u64, data: (u64, u32)) {
        let memory = guest.machine().ram().memory();
        let header = HEADERS + u64::from(slot) * 64;
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&kind.to_le_bytes());
        bytes[8..].copy_from_slice(&sector.to_le_bytes());
        write(guest, header, &bytes);
        write(guest, header + 32, &[0xee]);
        let parts = [(header, 16, false), (data.0, data.1, kind == IN), (header + 32, 1, true)];
        let parts: Vec<_> = parts.into_iter().filter(|(_, len, _)| *len > 0).collect();
        self.0.chain(memory, slot * 3, &parts);
        self.0.offer(memory, slot * 3);
    }

    /// Waits for `count` answers, all of them good.
    fn answers(&mut self, guest: &Guest, count: usize) {
        let deadline = Instant::now() + LONG;
        let mut seen = 0;
        while seen < count {
            assert!(Instant::now() < deadline, "{seen} of {count} answers");
            for (head, _) in self.0.used(guest.machine().ram().memory()) {
                let status = read::<1>(guest, HEADERS + u64::from(head / 3) * 64 + 32);
                assert_eq!(status, [0], "request {head}");
                seen += 1;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn wait_until_begun(guest: &Guest, requests: usize) {
    let deadline = Instant::now() + LONG;
    while guest.disks[0].device.park().requests_in_flight() < requests {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn audit(guests: &[&Guest]) {
    assert_eq!(guests[0].realm().family().audit([]), Ok(()));
}

/// A read and a write in flight, sharing their pages with bytes that the CPU writes.
fn busy(bench: &Bench, sharing: impl Into<Sharing>, policy: Policy) -> (Guest, Driver) {
    let guest = bench.guest(sharing, policy);
    let mut driver = Driver::start(&guest);
    if bench.forked_before {
        drop(guest.fork(nowhere()).unwrap());
    }
    bench.held(0).hold();
    write(&guest, DATA, &[0x11; 512]);
    driver.ask(&guest, 0, IN, 100, (DATA + 512, 1024));
    write(&guest, DATA + 0x2000, &[0x22; 512]);
    driver.ask(&guest, 1, OUT, 200, (DATA + 0x2000, 512));
    wait_until_begun(&guest, 2);
    (guest, driver)
}

#[test]
fn each_side_of_a_fork_gets_the_bytes_of_its_own_transfers() {
    let Some(host) = host() else { return };
    let sets = [RuleSet::SingleRefcount, RuleSet::Literal, RuleSet::Refcount, RuleSet::Exclusive];
    for (sharing, before) in
        everywhere(&sets).into_iter().flat_map(|one| [(one, false), (one, true)])
    {
        let bench = Bench { forked_before: before, ..Bench::new(&host) };
        let (parent, mut driver) = busy(&bench, sharing, Policy::Reissue);
        let (child, cut) = parent.fork(nowhere()).unwrap();
        assert!(cut.pause < LONG);
        let mut its_driver = driver.clone();
        // The child's transfers are made at once, against its own disk and memory.
        its_driver.answers(&child, 2);
        assert_eq!(read(&child, DATA + 512), original(100), "{sharing:?}");
        assert_eq!(read(&child, DATA), [0x11; 512], "{sharing:?}");
        assert_eq!(read(&parent, DATA + 512), [0; 512], "{sharing:?}: its transfer is held");
        // The parent goes on writing beside its transfer, and the transfer lands beside that.
        write(&parent, DATA, &[0x33; 512]);
        bench.held(0).release_all();
        driver.answers(&parent, 2);
        assert_eq!(read(&parent, DATA + 512), original(100), "{sharing:?}");
        assert_eq!(read(&parent, DATA + 1024), original(101), "{sharing:?}");
        assert_eq!(read(&parent, DATA), [0x33; 512], "{sharing:?}: the CPU's bytes");
        assert_eq!(read(&child, DATA), [0x11; 512], "{sharing:?}: nothing of the parent's");
        audit(&[&parent, &child]);
    }
}

/// The negative control: pins ignored, as before Linux 5.9.
#[test]
fn without_pins_a_transfer_is_lost_to_its_guest_and_leaks_to_the_other() {
    let Some(host) = host() else { return };
    for sharing in everywhere(&[RuleSet::Mapcount]) {
        lose_and_leak(&host, sharing);
    }
}

fn lose_and_leak(host: &Arc<Host>, sharing: Sharing) {
    let bench = Bench::new(host);
    let (parent, mut driver) = busy(&bench, sharing, Policy::Error);
    let (child, _) = parent.fork(nowhere()).unwrap();
    write(&parent, DATA, &[0x33; 512]);
    bench.held(0).release_all();
    driver.answers(&parent, 2);
    assert!(read(&parent, DATA + 512) == [0; 512], "LOST must be seen");
    assert!(read(&child, DATA + 512) == original(100), "LEAK must be seen");
}

#[test]
fn disks_fork_in_the_same_cut() {
    let Some(host) = host() else { return };
    let bench = Bench::new(&host);
    let (parent, mut driver) = busy(&bench, Sharing::default(), Policy::Reissue);
    let (snapshot, _) = parent.snapshot().unwrap();
    let (child, _) = parent.fork(nowhere()).unwrap();
    let mut its_driver = driver.clone();
    its_driver.answers(&child, 2);
    // After the cut the child overwrites what its parent is still writing.
    write(&child, DATA + 0x4000, &[0x44; 512]);
    its_driver.ask(&child, 2, OUT, 200, (DATA + 0x4000, 512));
    its_driver.answers(&child, 1);
    bench.held(0).release_all();
    driver.answers(&parent, 2);
    for (guest, driver, byte) in [(&parent, &mut driver, 0x22), (&child, &mut its_driver, 0x44)] {
        driver.ask(guest, 3, IN, 200, (DATA + 0x6000, 512));
        driver.answers(guest, 1);
        assert_eq!(read(guest, DATA + 0x6000), [byte; 512]);
    }
    // A clone of the snapshot begins where its parent was, with both requests in flight.
    let clone = snapshot.spawn(nowhere()).unwrap();
    let mut ring = Ring::new(0, RING, 64);
    ring.next_avail = 2;
    let mut its_driver = Driver(ring);
    its_driver.answers(&clone, 2);
    its_driver.ask(&clone, 3, IN, 200, (DATA + 0x6000, 512));
    its_driver.answers(&clone, 1);
    assert_eq!(read(&clone, DATA + 0x6000), [0x22; 512]);
    audit(&[&parent, &child, &clone]);
    let base = File::open(bench.folder.path().join("disk.raw")).unwrap();
    let mut bytes = [0; 512];
    base.read_exact_at(&mut bytes, 200 * SECTOR).unwrap();
    assert_eq!(bytes, original(200), "the base is never written");
}

#[test]
fn requests_in_flight_can_fail_in_the_child_instead() {
    let Some(host) = host() else { return };
    let bench = Bench::new(&host);
    let (parent, mut driver) = busy(&bench, Sharing::default(), Policy::Error);
    let (child, _) = parent.fork(nowhere()).unwrap();
    let deadline = Instant::now() + LONG;
    let mut its_ring = driver.0.clone();
    let mut failed = 0;
    while failed < 2 {
        assert!(Instant::now() < deadline);
        failed += its_ring.used(child.machine().ram().memory()).len();
    }
    assert_eq!([0, 64].map(|at| read::<1>(&child, HEADERS + at + 32)), [[1], [1]]);
    bench.held(0).release_all();
    driver.answers(&parent, 2);
}

#[test]
fn a_fork_that_would_wait_too_long_leaves_everything_as_it_was() {
    let Some(host) = host() else { return };
    let bench = Bench::new(&host);
    let (parent, mut driver) = busy(&bench, Sharing::default(), Policy::Drain);
    let refused = parent.fork(nowhere()).err().unwrap();
    assert!(
        matches!(refused, GuestError::Disk(GuestDiskError::Drain(DrainError { left: 2 }))),
        "{refused}"
    );
    bench.held(0).release_all();
    driver.answers(&parent, 2);
    assert_eq!(read(&parent, DATA + 512), original(100));
    let (child, cut) = parent.fork(nowhere()).unwrap();
    assert_eq!(cut.transfers_in_flight, 0);
    assert_eq!(read(&child, DATA + 512), original(100));
}

#[test]
fn a_pinned_page_that_is_forked_twice_stays_with_its_device() {
    let Some(host) = host() else { return };
    for sharing in everywhere(&[RuleSet::default()]) {
        for forked_before in [false, true] {
            fork_twice(&Bench { forked_before, ..Bench::new(&host) }, sharing);
        }
    }
}

fn fork_twice(bench: &Bench, sharing: Sharing) {
    let (parent, mut driver) = busy(bench, sharing, Policy::Reissue);
    write(&parent, DATA, &[0xa1; 512]);
    let (first, _) = parent.fork(nowhere()).unwrap();
    write(&parent, DATA, &[0xa2; 512]);
    let (second, _) = parent.fork(nowhere()).unwrap();
    write(&parent, DATA, &[0xa3; 512]);
    assert_eq!(parent.realm().counts().early_copies, 4, "a read and a write, at two forks");
    bench.held(0).release_all();
    driver.answers(&parent, 2);
    assert_eq!(read(&parent, DATA + 512), original(100));
    let seen = [&parent, &first, &second].map(|guest| read::<512>(guest, DATA)[0]);
    assert_eq!(seen, [0xa3, 0xa1, 0xa2]);
}
