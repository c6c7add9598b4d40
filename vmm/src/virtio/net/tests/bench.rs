//! A card, the driver that uses it, and the far end of its link.

use std::io;
use std::os::fd::RawFd;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::super::*;
use crate::devices::bus::MmioDevice;
use crate::virtio::test_driver::{Line, Ring, read32, start, write32};
use crate::virtio::{Mmio, MmioState, Next, Signals};

pub(super) const MEMORY: usize = 2 << 20;
pub(super) const END: u64 = MEMORY as u64;
pub(super) const RX_RING: u64 = 0x1_0000;
pub(super) const TX_RING: u64 = 0x1_4000;
/// Where tests put what is sent: 2 KiB for each head.
pub(super) const OUT: u64 = 0x4_0000;
/// Where tests have buffers for what comes in: 2 KiB for each head.
pub(super) const IN: u64 = 0x10_0000;
pub(super) const SLOT: u64 = 2048;
pub(super) const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The first bytes of every frame that comes in.
pub(super) const HEADER: [u8; HEADER_LEN] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];

pub(super) type Card = Net<GuestMemoryMmap>;

pub(super) struct Bench {
    pub(super) memory: GuestMemoryMmap,
    pub(super) device: Arc<Card>,
    pub(super) mmio: Mmio,
    pub(super) rx: Ring,
    pub(super) tx: Ring,
    pub(super) line: Line,
    /// Where frames of the guest come out and frames for it go in.
    pub(super) far: UnixDatagram,
    pub(super) room: Room,
}

/// How many frames a link still takes.
#[derive(Clone)]
pub(super) struct Room(Arc<AtomicUsize>);

impl Room {
    fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(usize::MAX)))
    }

    pub(super) fn is(&self, frames: usize) {
        self.0.store(frames, Ordering::Release);
    }
}

/// A link that is full when it is told to be.
struct Narrow {
    near: UnixDatagram,
    room: Room,
}

impl Frames for Narrow {
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        let left = self.room.0.load(Ordering::Acquire).checked_sub(1);
        let left = left.ok_or(io::ErrorKind::WouldBlock)?;
        Frames::send(&mut self.near, frame)?;
        self.room.is(left);
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.near.receive(buffer)
    }

    fn source(&self) -> RawFd {
        self.near.source()
    }
}

pub(super) fn mac() -> Mac {
    MAC.try_into().unwrap()
}

/// Two ends of a link, neither of which waits.
pub(super) fn link() -> (UnixDatagram, UnixDatagram) {
    let (near, far) = UnixDatagram::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    far.set_nonblocking(true).unwrap();
    (near, far)
}

/// A frame whose bytes are told by its number.
pub(super) fn frame(number: u32, len: usize) -> Vec<u8> {
    let mut frame = vec![number as u8 | 0x80; len];
    frame[..4].copy_from_slice(&number.to_le_bytes());
    frame
}

fn memory() -> GuestMemoryMmap {
    GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY)]).unwrap()
}

/// What a copy is given.
pub(super) struct Child {
    pub(super) plugged: bool,
    pub(super) mac: Mac,
}

impl Bench {
    /// A card that nobody has touched.
    pub(super) fn idle() -> Self {
        let (memory, line, room, (near, far)) = (memory(), Line::default(), Room::new(), link());
        let signals = Arc::new(Signals::new(Box::new(line.clone())));
        let near = Narrow { near, room: room.clone() };
        let worker = NetWorker::new(memory.clone(), Some(Box::new(near)), mac(), signals);
        let device = Arc::new(Net::new(worker).unwrap());
        let mmio = Mmio::new(device.clone());
        let rx = Ring::new(0, RX_RING, QUEUE_SIZE);
        let tx = Ring::new(1, TX_RING, QUEUE_SIZE);
        Self { memory, device, mmio, rx, tx, line, far, room }
    }

    /// A card whose driver is ready, without EVENT_IDX.
    pub(super) fn new() -> Self {
        let bench = Self::idle();
        bench.start(false);
        bench
    }

    pub(super) fn start(&self, event_idx: bool) {
        start(&self.mmio, &[&self.rx, &self.tx], event_idx);
    }

    /// As a driver does that starts again.
    pub(super) fn restart(&mut self) {
        write32(&self.mmio, 0x70, 0);
        assert_eq!(self.status(), 0);
        self.fill(RX_RING, &[0; 0x8000]);
        self.rx = Ring::new(0, RX_RING, QUEUE_SIZE);
        self.tx = Ring::new(1, TX_RING, QUEUE_SIZE);
        self.start(false);
    }

    /// A copy of the guest: memory copied now, the state taken through serialization, a link of its
    /// own or none.
    pub(super) fn copy_as(&self, child: Child) -> Self {
        let parked = self.device.park();
        let state = serde_json::to_string(&(self.mmio.save(), parked.save())).unwrap();
        let bytes = self.bytes(0, MEMORY);
        drop(parked);
        let (transport, worker): (MmioState, NetState) = serde_json::from_str(&state).unwrap();
        let (memory, line, room, (near, far)) = (memory(), Line::default(), Room::new(), link());
        memory.write_slice(&bytes, GuestAddress(0)).unwrap();
        let signals = Arc::new(Signals::restore(transport.signals, Box::new(line.clone())));
        let near = Narrow { near, room: room.clone() };
        let near = child.plugged.then(|| Box::new(near) as Link);
        let worker = NetWorker::restore(memory.clone(), near, child.mac, signals, &worker).unwrap();
        let device = Arc::new(Net::new(worker).unwrap());
        let mmio = Mmio::restore(&transport, device.clone()).unwrap();
        let (rx, tx) = (self.rx.clone(), self.tx.clone());
        Self { memory, device, mmio, rx, tx, line, far, room }
    }

    /// A copy with a link of its own, and the same address.
    pub(super) fn copy(&self) -> Self {
        let mac = self.device.park().mac();
        self.copy_as(Child { plugged: true, mac })
    }

    /// Makes a frame available, header and frame in one descriptor.
    pub(super) fn send(&mut self, head: u16, frame: &[u8]) {
        let at = OUT + u64::from(head) * SLOT;
        self.fill(at, &[0; HEADER_LEN]);
        self.fill(at + HEADER_LEN as u64, frame);
        let len = (HEADER_LEN + frame.len()) as u32;
        self.offer_tx(head, &[(at, len, false)]);
    }

    pub(super) fn offer_tx(&mut self, head: u16, parts: &[(u64, u32, bool)]) {
        self.tx.chain(&self.memory, head, parts);
        self.tx.offer(&self.memory, head);
    }

    pub(super) fn offer_rx(&mut self, head: u16, parts: &[(u64, u32, bool)]) {
        self.rx.chain(&self.memory, head, parts);
        self.rx.offer(&self.memory, head);
    }

    /// Makes buffers of 2 KiB available.
    pub(super) fn buffers(&mut self, heads: std::ops::Range<u16>) {
        for head in heads {
            self.offer_rx(head, &[(IN + u64::from(head) * SLOT, SLOT as u32, true)]);
        }
    }

    pub(super) fn step(&self) -> Next {
        self.device.park().step()
    }

    /// Steps until there is nothing to do at once.
    pub(super) fn settle(&self) {
        while self.step() == Next::Now {}
    }

    /// The frames that came out, without those that follow while they are looked at.
    pub(super) fn arrived(&self) -> Vec<Vec<u8>> {
        let mut buffer = vec![0; HEADER_LEN + FRAME_MAX];
        let mut frames = Vec::new();
        while let Ok(len) = self.far.recv(&mut buffer) {
            frames.push(buffer[..len].to_vec());
        }
        frames
    }

    /// The numbers of the frames that came out.
    pub(super) fn numbers(&self) -> Vec<u32> {
        let number = |frame: Vec<u8>| u32::from_le_bytes(frame[..4].try_into().unwrap());
        self.arrived().into_iter().map(number).collect()
    }

    pub(super) fn sent(&mut self) -> Vec<(u32, u32)> {
        self.tx.used(&self.memory)
    }

    pub(super) fn received(&mut self) -> Vec<(u32, u32)> {
        self.rx.used(&self.memory)
    }

    pub(super) fn counts(&self) -> NetCounts {
        self.device.park().counts()
    }

    pub(super) fn bytes(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }

    pub(super) fn fill(&self, address: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(address)).unwrap();
    }

    pub(super) fn status(&self) -> u32 {
        read32(&self.mmio, 0x70)
    }

    pub(super) fn config(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut data = vec![0xff; len];
        self.mmio.read(0x100 + offset, &mut data);
        data
    }

    /// What the driver reads of the link.
    pub(super) fn is_up(&self) -> bool {
        self.config(6, 2) == [1, 0]
    }
}
