//! Network cards and random bytes of guests on the real KVM and real memory, driven from outside
//! through their registers and the guest's window.

use std::io;
use std::os::fd::RawFd;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pincow_mmu::rules::Rules;
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::devices::MmioDevice as _;
use crate::devices::serial::nowhere;
use crate::guest::{ChildConfig, Guest, GuestConfig, GuestError};
use crate::kvm::tests::host;
use crate::payload::PAYLOAD;
use crate::virtio::net::{Frames, HEADER_LEN, QUEUE_SIZE};
use crate::virtio::test_driver::{self, Ring, write32};

mod balloon;
mod cards;
mod random_bytes;
mod sockets;

const MEMORY: u64 = 16 << 20;
const LONG: Duration = Duration::from_secs(30);
/// Where the driver has its rings, what it sends, and its buffers.
const RX_RING: u64 = 0x50_0000;
const TX_RING: u64 = 0x50_4000;
const RNG_RING: u64 = 0x50_8000;
const OUT: u64 = 0x60_0000;
const IN: u64 = 0x70_0000;
const SLOT: u64 = 2048;
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// A link that takes no frames while its gate is shut.
struct Gated {
    near: UnixDatagram,
    shut: Arc<AtomicBool>,
}

impl Frames for Gated {
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        match self.shut.load(Ordering::Acquire) {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => Frames::send(&mut self.near, frame),
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.near.receive(buffer)
    }

    fn source(&self) -> RawFd {
        self.near.source()
    }
}

/// A link, its far end, and its gate.
fn gated() -> (Link, UnixDatagram, Arc<AtomicBool>) {
    let (near, far) = UnixDatagram::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    far.set_read_timeout(Some(LONG)).unwrap();
    let shut = Arc::new(AtomicBool::new(false));
    (Box::new(Gated { near, shut: Arc::clone(&shut) }), far, shut)
}

fn link() -> (Link, UnixDatagram) {
    let (near, far, _) = gated();
    (near, far)
}

fn boot(host: &Arc<crate::kvm::Host>, links: Vec<Option<Link>>, rng: bool) -> Guest {
    let card = |link| NetConfig { link, mac: MAC.try_into().unwrap() };
    let nets = links.into_iter().map(card).collect();
    let config = GuestConfig { nets, rng, ..GuestConfig::default() };
    let guest = Guest::boot(host, MEMORY, Rules::default(), config, PAYLOAD).unwrap();
    guest.machine().start().unwrap();
    guest
}

fn write(guest: &Guest, address: u64, bytes: &[u8]) {
    guest.machine().ram().memory().write_slice(bytes, GuestAddress(address)).unwrap();
}

fn read<const N: usize>(guest: &Guest, address: u64) -> [u8; N] {
    let mut bytes = [0; N];
    guest.machine().ram().memory().read_slice(&mut bytes, GuestAddress(address)).unwrap();
    bytes
}

/// Waits until `ring` has `count` used buffers more.
fn wait_used(guest: &Guest, ring: &mut Ring, count: usize) -> Vec<(u32, u32)> {
    let deadline = Instant::now() + LONG;
    let mut used = Vec::new();
    while used.len() < count {
        assert!(Instant::now() < deadline, "{used:?} of {count}");
        used.extend(ring.used(guest.machine().ram().memory()));
        std::thread::sleep(Duration::from_millis(1));
    }
    used
}

/// A driver's view of its card. A fork's copy goes on where the original was.
#[derive(Clone)]
struct Driver {
    rx: Ring,
    tx: Ring,
}

impl Driver {
    fn start(guest: &Guest) -> Self {
        let rx = Ring::new(0, RX_RING, QUEUE_SIZE);
        let tx = Ring::new(1, TX_RING, QUEUE_SIZE);
        test_driver::start(&*guest.peripherals.nets[0].registers, &[&rx, &tx], false);
        Self { rx, tx }
    }

    /// Makes a frame of 60 bytes available; nobody rings the doorbell.
    fn offer(&mut self, guest: &Guest, number: u8) {
        let (memory, at) = (guest.machine().ram().memory(), OUT + u64::from(number) * SLOT);
        write(guest, at, &[0; HEADER_LEN]);
        write(guest, at + HEADER_LEN as u64, &[number; 60]);
        self.tx.chain(memory, number.into(), &[(at, 72, false)]);
        self.tx.offer(memory, number.into());
    }

    fn buffer(&mut self, guest: &Guest, number: u8) {
        let (memory, at) = (guest.machine().ram().memory(), IN + u64::from(number) * SLOT);
        self.rx.chain(memory, number.into(), &[(at, SLOT as u32, true)]);
        self.rx.offer(memory, number.into());
    }
}

/// Rings the doorbells of a card.
fn ring(guest: &Guest) {
    for queue in [0, 1] {
        write32(&*guest.peripherals.nets[0].registers, 0x50, queue);
    }
}

fn config(guest: &Guest) -> [u8; 8] {
    let mut data = [0; 8];
    guest.peripherals.nets[0].registers.read(0x100, &mut data);
    data
}

/// The numbers of the next `count` frames at the far end of a link.
fn arrived(far: &UnixDatagram, count: usize) -> Vec<u8> {
    let mut buffer = [0; 100];
    let number = |_| match far.recv(&mut buffer).unwrap() {
        60 => buffer[0],
        len => panic!("a frame of {len} bytes"),
    };
    (0..count).map(number).collect()
}

fn is_quiet(far: &UnixDatagram) -> bool {
    far.set_nonblocking(true).unwrap();
    let quiet = far.recv(&mut [0; 100]).is_err();
    far.set_nonblocking(false).unwrap();
    quiet
}
