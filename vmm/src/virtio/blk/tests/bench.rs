//! A disk on a temporary file, and the driver that uses it.

#![expect(unsafe_code, reason = "pinned memory is given by address")]

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use virtio_bindings::virtio_mmio as reg;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

use super::super::*;
use crate::io::test_memory::{direct_file, pattern};
use crate::io::{Buffers, Held, HeldControl, Kind as Action, Region, Uring, wait_readable};
use crate::virtio::test_driver::{Line, Ring, read32, start, write32};
use crate::virtio::{Mmio, Next, Signals, SignalsState};

pub(super) const MEMORY: usize = 8 << 20;
pub(super) const SECTORS: u64 = 2048;
pub(super) const PAGE: u64 = 4096;
/// Where tests put headers and statuses: 32 bytes for each head.
pub(super) const HEADERS: u64 = 0x10_0000;
/// Where tests put data.
pub(super) const DATA: u64 = 0x20_0000;
const NO_STATUS: u8 = 0xee;

pub(super) type Disk = Blk<GuestMemoryMmap, FakePinner, FileDisk, Held<Uring>>;

/// Hands out guest memory itself, page by page, and counts.
#[derive(Clone)]
pub(super) struct FakePinner {
    memory: GuestMemoryMmap,
    pins: Arc<AtomicUsize>,
    pub(super) busy: Arc<AtomicUsize>,
    /// A byte of guest memory that would have to be waited for.
    pub(super) unwritable: Option<u64>,
}

struct FakePin(
    Arc<AtomicUsize>,
    #[expect(dead_code, reason = "keeps the addresses")] GuestMemoryMmap,
);

impl Drop for FakePin {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Pinner for FakePinner {
    fn pin(&mut self, segments: &[Segment], _: Direction) -> Result<Buffers, PortError> {
        if self.busy.load(Ordering::Acquire) > 0 {
            self.busy.fetch_sub(1, Ordering::AcqRel);
            return Err(PortError::Busy);
        }
        let mut regions = Vec::new();
        for segment in segments {
            let end = segment.address + u64::from(segment.len);
            let mut at = segment.address;
            while at < end {
                let next = end.min((at / PAGE + 1) * PAGE);
                let address = self.memory.get_host_address(GuestAddress(at)).unwrap();
                regions.push(Region { address, len_bytes: (next - at) as usize });
                at = next;
            }
        }
        self.pins.fetch_add(1, Ordering::AcqRel);
        let held = Arc::new(FakePin(self.pins.clone(), self.memory.clone()));
        // SAFETY: the pin has the memory, whose accesses are volatile.
        Ok(unsafe { Buffers::new(regions, held) })
    }

    fn may_write(&mut self, address: u64, len_bytes: u64) -> bool {
        let range = address..address + len_bytes;
        self.unwritable.is_none_or(|byte| !range.contains(&byte))
    }
}

/// A raw file, of which the last quarter is said to be zeros that are stored nowhere.
pub(super) struct FileDisk {
    file: Arc<File>,
    pub(super) open: usize,
    pub(super) failed: usize,
    pub(super) lies: bool,
    pub(super) abandoned: Vec<(bool, u64)>,
    /// What operations go on with when their pieces are done, the last first: bytes for an offset.
    pub(super) more: Vec<(u64, Vec<u8>)>,
    /// How often it is too busy to end anything before that.
    pub(super) busy_ends: usize,
}

const STORED: u64 = SECTORS / 4 * 3 * 512;

impl FileDisk {
    fn data(&self, sector: u64, sectors: u64, read: bool) -> Vec<Piece> {
        let (mut at, end) = (sector * 512, (sector + sectors) * 512);
        let mut pieces = Vec::new();
        while at < end {
            // Pieces of 64 KiB at most, as a disk with clusters has.
            let next = end.min((at / 65536 + 1) * 65536);
            let len_bytes = (next - at) as usize;
            pieces.push(match read && at >= STORED {
                true => Piece::Zeros { len_bytes },
                false => Piece::Data { file: self.file.clone(), offset: at, len_bytes },
            });
            at = next;
        }
        pieces
    }
}

impl DiskPort for FileDisk {
    type Ticket = ();

    fn memory_alignment(&self) -> usize {
        512
    }

    fn begin(&mut self, operation: Operation<'_>) -> Result<Plan<()>, PortError> {
        self.open += 1;
        let other = |offset, kind| Piece::Other { file: self.file.clone(), offset, kind };
        let zeroed = |ranges: &[ZeroedRange], kind: fn(u64) -> Action| {
            let piece = |range: &ZeroedRange| {
                let len_bytes = u64::from(range.sectors) * 512;
                (len_bytes > 0).then(|| other(range.sector * 512, kind(len_bytes)))
            };
            ranges.iter().filter_map(piece).collect()
        };
        let mut pieces = match operation {
            Operation::Read { sector, sectors } => self.data(sector, sectors, true),
            Operation::Write { sector, sectors } => self.data(sector, sectors, false),
            Operation::Flush => vec![other(0, Action::Sync)],
            Operation::Discard(ranges) => {
                zeroed(ranges, |len_bytes| Action::PunchHole { len_bytes })
            }
            Operation::WriteZeroes(ranges) => {
                zeroed(ranges, |len_bytes| Action::ZeroRange { len_bytes })
            }
        };
        if self.lies {
            pieces.pop();
        }
        Ok(Plan { pieces, ticket: () })
    }

    fn end(&mut self, (): (), done: bool) -> io::Result<Progress<()>> {
        if done && self.busy_ends > 0 {
            self.busy_ends -= 1;
            return Ok(Progress::Busy(()));
        }
        if done && let Some((offset, bytes)) = self.more.pop() {
            let own = Piece::Own { file: self.file.clone(), offset, bytes: bytes.into() };
            return Ok(Progress::More(Plan { pieces: vec![own], ticket: () }));
        }
        self.open -= 1;
        self.failed += usize::from(!done);
        Ok(Progress::Over)
    }

    fn abandon(&mut self, operation: Operation<'_>) {
        let (write, sector) = match operation {
            Operation::Read { sector, .. } => (false, sector),
            Operation::Write { sector, .. } => (true, sector),
            _ => return,
        };
        self.abandoned.push((write, sector));
    }
}

pub(super) struct Bench {
    pub(super) memory: GuestMemoryMmap,
    pub(super) disk: Arc<Disk>,
    pub(super) mmio: Mmio,
    pub(super) ring: Ring,
    pub(super) control: HeldControl,
    pub(super) line: Line,
    pub(super) temporary: Arc<NamedTempFile>,
    pub(super) busy: Arc<AtomicUsize>,
    file: Arc<File>,
    pins: Arc<AtomicUsize>,
}

pub(super) fn options() -> BlkOptions {
    BlkOptions { capacity: SECTORS, queue_size: 64, id: "a disk".into(), ..BlkOptions::default() }
}

fn ports(
    memory: &GuestMemoryMmap,
    file: &Arc<File>,
) -> (Ports<GuestMemoryMmap, FakePinner, FileDisk, Held<Uring>>, FakePinner, HeldControl) {
    let pins = Arc::new(AtomicUsize::new(0));
    let busy = Arc::new(AtomicUsize::new(0));
    let pinner = FakePinner { memory: memory.clone(), pins, busy, unwritable: None };
    let engine = Held::new(Uring::new(32).unwrap()).unwrap();
    let control = engine.control();
    let (abandoned, more) = (Vec::new(), Vec::new());
    let file = file.clone();
    let disk = FileDisk { file, open: 0, failed: 0, lies: false, abandoned, more, busy_ends: 0 };
    (Ports { memory: memory.clone(), pinner: pinner.clone(), disk, engine }, pinner, control)
}

impl Bench {
    /// A disk that nobody has touched.
    pub(super) fn idle(options: BlkOptions) -> Self {
        let (temporary, file) = direct_file(&pattern((SECTORS * 512) as usize, 1));
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY)]).unwrap();
        let (ports, pinner, control) = ports(&memory, &file);
        let line = Line::default();
        let signals = Arc::new(Signals::new(Box::new(line.clone())));
        let size = options.queue_size.min(64);
        let worker = BlkWorker::new(ports, options.try_into().unwrap(), signals.clone());
        let disk = Arc::new(Blk::new(worker, signals).unwrap());
        let mmio = Mmio::new(disk.clone());
        let (pins, busy) = (pinner.pins, pinner.busy);
        let ring = Ring::new(0, 0x1_0000, size);
        let temporary = Arc::new(temporary);
        Self { memory, disk, mmio, ring, control, line, temporary, busy, file, pins }
    }

    /// A disk whose driver is ready, without EVENT_IDX.
    pub(super) fn new() -> Self {
        let bench = Self::idle(options());
        bench.start(false);
        bench
    }

    pub(super) fn start(&self, event_idx: bool) {
        start(&self.mmio, &[&self.ring], event_idx);
    }

    /// A copy of the guest: memory copied now, the state taken through serialization, a disk of
    /// its own (on the same file).
    pub(super) fn copy(&self, policy: Policy) -> Result<Self, RestoreError> {
        let parked = self.disk.park();
        let state = serde_json::to_string(&(self.mmio.save(), parked.save())).unwrap();
        let mut bytes = vec![0; MEMORY];
        self.memory.read_slice(&mut bytes, GuestAddress(0)).unwrap();
        drop(parked);
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY)]).unwrap();
        memory.write_slice(&bytes, GuestAddress(0)).unwrap();

        let (transport, worker): (crate::virtio::MmioState, BlkState) =
            serde_json::from_str(&state).unwrap();
        let (ports, pinner, control) = ports(&memory, &self.file);
        let line = Line::default();
        let signals: SignalsState = transport.signals;
        let signals = Arc::new(Signals::restore(signals, Box::new(line.clone())));
        let config = self.disk.park().config().clone();
        let worker = BlkWorker::restore(ports, config, signals.clone(), &worker, policy)?;
        let disk = Arc::new(Blk::new(worker, signals).unwrap());
        let mmio = Mmio::restore(&transport, disk.clone()).unwrap();
        let (ring, temporary, file) =
            (self.ring.clone(), self.temporary.clone(), self.file.clone());
        let (pins, busy) = (pinner.pins, pinner.busy);
        Ok(Self { memory, disk, mmio, ring, control, line, temporary, busy, file, pins })
    }

    pub(super) fn header(&self, head: u16, kind: u32, sector: u64) -> u64 {
        let address = HEADERS + 32 * u64::from(head);
        self.memory.write_obj(kind, GuestAddress(address)).unwrap();
        self.memory.write_obj(0_u32, GuestAddress(address + 4)).unwrap();
        self.memory.write_obj(sector, GuestAddress(address + 8)).unwrap();
        self.memory.write_obj(NO_STATUS, GuestAddress(address + 16)).unwrap();
        address
    }

    /// Offers a request: header, data (`write`: by the device), status, from descriptor `head` on.
    pub(super) fn request(
        &mut self,
        head: u16,
        (kind, sector): (u32, u64),
        data: &[(u64, u32)],
        write: bool,
    ) {
        let header = self.header(head, kind, sector);
        let mut parts = vec![(header, 16, false)];
        parts.extend(data.iter().map(|&(address, len)| (address, len, write)));
        parts.push((header + 16, 1, true));
        self.ring.chain(&self.memory, head, &parts);
        self.ring.offer(&self.memory, head);
    }

    pub(super) fn read(&mut self, head: u16, sector: u64, data: &[(u64, u32)]) {
        self.request(head, (0, sector), data, true);
    }

    pub(super) fn write(&mut self, head: u16, sector: u64, data: &[(u64, u32)]) {
        self.request(head, (1, sector), data, false);
    }

    pub(super) fn status(&self, head: u16) -> u8 {
        self.memory.read_obj(GuestAddress(HEADERS + 32 * u64::from(head) + 16)).unwrap()
    }

    pub(super) fn step(&self) -> Next {
        self.disk.park().step()
    }

    /// Steps until there is nothing to do at once; what the worker wants then.
    pub(super) fn rest(&self) -> Next {
        loop {
            match self.step() {
                Next::Now => {}
                next => return next,
            }
        }
    }

    /// Steps until `count` requests were answered; what the used ring says.
    pub(super) fn answers(&mut self, count: usize) -> Vec<(u32, u32)> {
        let mut used = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let next = self.step();
            used.extend(self.ring.used(&self.memory));
            if used.len() >= count {
                return used;
            }
            assert!(Instant::now() < deadline, "{} of {count} answers", used.len());
            if next == Next::Idle {
                wait_readable(&[self.disk.park().event_fd()], Some(Duration::from_millis(20)));
            }
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        use crate::io::Engine;
        self.disk.park().ports().engine.in_flight()
    }

    pub(super) fn pins(&self) -> usize {
        self.pins.load(Ordering::Acquire)
    }

    pub(super) fn bytes(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }

    pub(super) fn fill(&self, address: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(address)).unwrap();
    }

    pub(super) fn on_disk(&self, sector: u64, len: usize) -> Vec<u8> {
        std::fs::read(self.temporary.path()).unwrap()[(sector * 512) as usize..][..len].to_vec()
    }

    pub(super) fn device_status(&self) -> u32 {
        read32(&self.mmio, reg::VIRTIO_MMIO_STATUS)
    }

    pub(super) fn reset(&self) {
        write32(&self.mmio, reg::VIRTIO_MMIO_STATUS, 0);
    }

    pub(super) fn is_broken(&self) -> bool {
        self.device_status() & 64 != 0
    }
}

/// What the disk holds at first.
pub(super) fn original(sector: u64, len: usize) -> Vec<u8> {
    pattern((SECTORS * 512) as usize, 1)[(sector * 512) as usize..][..len].to_vec()
}
