//! A device, the driver that uses it, and the programs of the host.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::super::packet::*;
use super::super::*;
use crate::devices::bus::MmioDevice;
use crate::virtio::test_driver::{Line, Ring, read32, start, write32};
use crate::virtio::{Mmio, MmioState, Next, Signals};

pub(super) const MEMORY: usize = 4 << 20;
pub(super) const END: u64 = MEMORY as u64;
pub(super) const RX_RING: u64 = 0x1_0000;
pub(super) const TX_RING: u64 = 0x1_4000;
pub(super) const EVENT_RING: u64 = 0x1_8000;
/// Where tests put what is sent, one packet at a time.
pub(super) const OUT: u64 = 0x4_0000;
/// Where tests have buffers for what comes in: 8 KiB for each head.
pub(super) const IN: u64 = 0x10_0000;
pub(super) const SLOT: u64 = 8192;
/// Where tests have buffers for events: 16 bytes for each head.
pub(super) const EVENTS: u64 = 0x2_0000;
/// The credit that the driver gives.
pub(super) const CREDIT: u32 = 1 << 20;
pub(super) const CID: u32 = 3;
/// A port of the guest, and one of the host.
pub(super) const GUEST: u32 = 1024;
pub(super) const HOST: u32 = 77;

pub(super) struct Bench {
    pub(super) memory: GuestMemoryMmap,
    pub(super) device: Arc<Vsock<GuestMemoryMmap>>,
    pub(super) mmio: Mmio,
    pub(super) rx: Ring,
    pub(super) tx: Ring,
    pub(super) event: Ring,
    pub(super) line: Line,
    pub(super) folder: TempDir,
}

/// A packet of the device: its header and its bytes.
pub(super) type Packet = (Header, Vec<u8>);

fn memory() -> GuestMemoryMmap {
    GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY)]).unwrap()
}

pub(super) fn cid(number: u32) -> Cid {
    number.try_into().unwrap()
}

/// A packet of the guest, with its credit.
pub(super) fn header(ports: Ports, op: Op) -> Header {
    Header {
        src_cid: CID.into(),
        dst_cid: HOST_CID,
        src_port: ports.guest,
        dst_port: ports.host,
        socket_type: STREAM,
        op: op as u16,
        buf_alloc: CREDIT,
        ..Header::default()
    }
}

impl Bench {
    /// A device that nobody has touched.
    pub(super) fn idle() -> Self {
        let (memory, line) = (memory(), Line::default());
        let folder = tempfile::tempdir().unwrap();
        let socket = HostSocket::bind(&folder.path().join("v")).unwrap();
        let signals = Arc::new(Signals::new(Box::new(line.clone())));
        let worker = VsockWorker::new(memory.clone(), cid(CID), Some(socket), signals).unwrap();
        let device = Arc::new(Vsock::new(worker).unwrap());
        let mmio = Mmio::new(device.clone());
        let (rx, tx, event) = rings();
        Self { memory, device, mmio, rx, tx, event, line, folder }
    }

    /// A device whose driver is ready and has 64 buffers for packets and 4 for events.
    pub(super) fn new() -> Self {
        Self::with(false)
    }

    pub(super) fn with(event_idx: bool) -> Self {
        let mut bench = Self::idle();
        bench.start(event_idx);
        bench
    }

    fn start(&mut self, event_idx: bool) {
        start(&self.mmio, &[&self.rx, &self.tx, &self.event], event_idx);
        self.buffers(0..64);
        for head in 0..4 {
            self.event_buffer(head);
        }
    }

    /// As a driver does that starts again.
    pub(super) fn restart(&mut self) {
        write32(&self.mmio, 0x70, 0);
        assert_eq!(self.status(), 0);
        self.fill(RX_RING, &[0; 0xc000]);
        (self.rx, self.tx, self.event) = rings();
        self.start(false);
    }

    /// A copy of the guest: memory copied now, the state taken through serialization.
    pub(super) fn copy_as(&self, number: u32) -> Self {
        let parked = self.device.park();
        let state = serde_json::to_string(&(self.mmio.save(), parked.save())).unwrap();
        let bytes = self.bytes(0, MEMORY);
        drop(parked);
        let (transport, worker): (MmioState, VsockState) = serde_json::from_str(&state).unwrap();
        let (memory, line) = (memory(), Line::default());
        memory.write_slice(&bytes, GuestAddress(0)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let socket = HostSocket::bind(&folder.path().join("v")).unwrap();
        let signals = Arc::new(Signals::restore(transport.signals, Box::new(line.clone())));
        let worker =
            VsockWorker::restore(memory.clone(), cid(number), Some(socket), signals, &worker);
        let device = Arc::new(Vsock::new(worker.unwrap()).unwrap());
        let mmio = Mmio::restore(&transport, device.clone()).unwrap();
        let (rx, tx, event) = (self.rx.clone(), self.tx.clone(), self.event.clone());
        Self { memory, device, mmio, rx, tx, event, line, folder }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("v")
    }

    /// A program of the host that connects and says `line`.
    pub(super) fn connect(&self, line: &str) -> UnixStream {
        let mut stream = UnixStream::connect(self.path()).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        stream
    }

    /// A program of the host that listens for a port of the host.
    pub(super) fn listen(&self, port: u32) -> UnixListener {
        let listener = UnixListener::bind(self.folder.path().join(format!("v_{port}"))).unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    }

    /// An open connection that the guest has begun; the host's end.
    pub(super) fn guest_opens(&mut self, guest: u32) -> (Ports, UnixStream) {
        let path = self.folder.path().join(format!("v_{HOST}"));
        let _ = std::fs::remove_file(path);
        let listener = self.listen(HOST);
        let ports = Ports { host: HOST, guest };
        self.say(header(ports, Op::Request), b"");
        assert_eq!(self.ops(), [(ports, Op::Response as u16)]);
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        (ports, stream)
    }

    /// An open connection that the host has begun; the host's end.
    pub(super) fn host_opens(&mut self) -> (Ports, UnixStream) {
        let mut stream = self.connect(&format!("CONNECT {GUEST}\n"));
        let asked = self.heard();
        assert_eq!((asked.len(), asked[0].0.op), (1, Op::Request as u16));
        let ports = Ports { host: asked[0].0.src_port, guest: asked[0].0.dst_port };
        self.say(header(ports, Op::Response), b"");
        self.settle();
        assert_eq!(read(&mut stream), format!("OK {}\n", ports.host).into_bytes());
        (ports, stream)
    }

    /// Makes a packet available, and has it acted on.
    pub(super) fn say(&mut self, header: Header, bytes: &[u8]) {
        self.offer(header, bytes);
        self.settle();
        self.said();
    }

    /// Makes a packet available as descriptor 0 and 1, in memory that is used for each.
    pub(super) fn offer(&mut self, header: Header, bytes: &[u8]) {
        self.fill(OUT, &Header { len: bytes.len() as u32, ..header }.to_bytes());
        self.fill(OUT + HEADER_LEN as u64, bytes);
        let len = HEADER_LEN as u32;
        let rest = (OUT + HEADER_LEN as u64, bytes.len() as u32, false);
        self.offer_tx(0, &[(OUT, len, false), rest]);
    }

    pub(super) fn offer_tx(&mut self, head: u16, parts: &[(u64, u32, bool)]) {
        self.tx.chain(&self.memory, head, parts);
        self.tx.offer(&self.memory, head);
    }

    pub(super) fn offer_rx(&mut self, head: u16, parts: &[(u64, u32, bool)]) {
        self.rx.chain(&self.memory, head, parts);
        self.rx.offer(&self.memory, head);
    }

    pub(super) fn buffers(&mut self, heads: std::ops::Range<u16>) {
        for head in heads {
            self.offer_rx(head, &[(IN + u64::from(head) * SLOT, SLOT as u32, true)]);
        }
    }

    pub(super) fn event_buffer(&mut self, head: u16) {
        self.event.chain(&self.memory, head, &[(EVENTS + u64::from(head) * 16, 4, true)]);
        self.event.offer(&self.memory, head);
    }

    pub(super) fn step(&self) -> Next {
        self.device.park().step()
    }

    /// Steps until there is nothing to do at once, whatever a step has made ready.
    pub(super) fn settle(&self) {
        for _ in 0..1000 {
            let again = [self.step(), self.step(), self.step()];
            if again == [Next::Idle; 3] {
                return;
            }
        }
        panic!("it does not end");
    }

    /// The packets that were answered.
    pub(super) fn said(&mut self) -> Vec<(u32, u32)> {
        self.tx.used(&self.memory)
    }

    /// What came in, after everything has settled. The buffers are made available again.
    pub(super) fn heard(&mut self) -> Vec<Packet> {
        let mut packets = Vec::new();
        loop {
            self.settle();
            let used = self.rx.used(&self.memory);
            if used.is_empty() {
                return packets;
            }
            for (head, len) in used {
                let bytes = self.bytes(IN + u64::from(head) * SLOT, len as usize);
                let header = Header::from_bytes(bytes.first_chunk().unwrap());
                assert_eq!(header.len as usize, bytes.len() - HEADER_LEN);
                packets.push((header, bytes[HEADER_LEN..].to_vec()));
                self.rx.offer(&self.memory, head as u16);
            }
        }
    }

    /// The ends and the purpose of what came in.
    pub(super) fn ops(&mut self) -> Vec<(Ports, u16)> {
        let op = |(header, _): Packet| {
            let ports = Ports { host: header.src_port, guest: header.dst_port };
            (ports, header.op)
        };
        self.heard().into_iter().map(op).collect()
    }

    /// The events that came in, as their bytes. The buffers are not made available again.
    pub(super) fn events(&mut self) -> Vec<(u32, Vec<u8>)> {
        let used = self.event.used(&self.memory);
        let event = |(head, len): (u32, u32)| {
            (head, self.bytes(EVENTS + u64::from(head) * 16, len as usize))
        };
        used.into_iter().map(event).collect()
    }

    pub(super) fn counts(&self) -> VsockCounts {
        self.device.park().counts()
    }

    /// How many streams of the host are open here.
    pub(super) fn streams(&self) -> usize {
        self.device.park().streams()
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
}

fn rings() -> (Ring, Ring, Ring) {
    let ring = |index, base| Ring::new(index, base, QUEUE_SIZE);
    (ring(0, RX_RING), ring(1, TX_RING), ring(2, EVENT_RING))
}

/// What a stream has now.
pub(super) fn read(stream: &mut UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
    }
    bytes
}

/// Whether the other end has closed, and nothing is left to read.
pub(super) fn is_closed(stream: &mut UnixStream) -> bool {
    !matches!(stream.read(&mut [0]), Ok(1..)) && matches!(stream.read(&mut [0]), Ok(0))
}

/// Bytes that are told by their place.
pub(super) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}
