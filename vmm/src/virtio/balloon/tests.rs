//! Whole devices without KVM: a driver in memory, registers, rings, and a note of what was discarded.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::*;
use crate::virtio::test_driver::{Line, Ring, read32, start, write32};
use crate::virtio::{Mmio, MmioState, Next, Signals};

mod copies;
mod hostile;
mod random;
mod requests;

/// 128 MiB, of which next to nothing is touched.
const MEMORY: usize = 128 << 20;
const END: u64 = MEMORY as u64;
const DATA: u64 = 0x4_0000;
/// Where the rings of the three queues are.
const RINGS: [u64; 3] = [0x1_0000, 0x1_4000, 0x1_8000];

const INFLATE: usize = 0;
const DEFLATE: usize = 1;
const REPORT: usize = 2;

/// Pages that were discarded, run by run. Those in `pinned` stay.
#[derive(Clone, Default)]
struct Noted {
    discarded: Arc<Mutex<Vec<(u32, u32)>>>,
    pinned: Vec<u32>,
}

impl Reclaim for Noted {
    fn reclaim(&mut self, first: u32, pages: u32) -> u32 {
        assert!(u64::from(first) + u64::from(pages) <= END / 4096, "{first:#x}+{pages:#x}");
        self.discarded.lock().push((first, pages));
        let pinned = self.pinned.iter().filter(|pin| (first..first + pages).contains(pin));
        pages - pinned.count() as u32
    }
}

struct Bench {
    memory: GuestMemoryMmap,
    device: Arc<Balloon<GuestMemoryMmap, Noted>>,
    mmio: Mmio,
    rings: [Ring; 3],
    line: Line,
    noted: Noted,
}

fn memory() -> GuestMemoryMmap {
    GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY)]).unwrap()
}

fn rings() -> [Ring; 3] {
    [0, 1, 2].map(|index| Ring::new(index as u32, RINGS[index], QUEUE_SIZE))
}

impl Bench {
    fn idle(pinned: &[u32]) -> Self {
        let noted = Noted { pinned: pinned.to_vec(), ..Noted::default() };
        let (memory, line) = (memory(), Line::default());
        let signals = Arc::new(Signals::new(Box::new(line.clone())));
        let worker = BalloonWorker::new(memory.clone(), noted.clone(), signals.clone());
        let device = Arc::new(Balloon::new(worker, signals).unwrap());
        let mmio = Mmio::new(device.clone());
        Self { memory, device, mmio, rings: rings(), line, noted }
    }

    /// With a driver that is ready, without EVENT_IDX.
    fn new() -> Self {
        Self::with_pinned(&[])
    }

    fn with_pinned(pinned: &[u32]) -> Self {
        let bench = Self::idle(pinned);
        start(&bench.mmio, &bench.rings.each_ref(), false);
        bench
    }

    /// A copy of the guest, through serialization. Its memory is that below 1 MiB.
    fn copy(&self) -> Self {
        let parked = self.device.park();
        let state = serde_json::to_string(&(self.mmio.save(), parked.save())).unwrap();
        let mut bytes = vec![0; 1 << 20];
        self.memory.read_slice(&mut bytes, GuestAddress(0)).unwrap();
        drop(parked);
        let (transport, worker): (MmioState, BalloonState) = serde_json::from_str(&state).unwrap();
        let (memory, line) = (memory(), Line::default());
        memory.write_slice(&bytes, GuestAddress(0)).unwrap();
        let signals = Arc::new(Signals::restore(transport.signals, Box::new(line.clone())));
        let noted = Noted { discarded: Arc::default(), ..self.noted.clone() };
        let worker =
            BalloonWorker::restore(memory.clone(), noted.clone(), signals.clone(), &worker);
        let device = Arc::new(Balloon::new(worker.unwrap(), signals).unwrap());
        let mmio = Mmio::restore(&transport, device.clone()).unwrap();
        Self { memory, device, mmio, rings: self.rings.clone(), line, noted }
    }

    /// Makes a chain available.
    fn ask(&mut self, queue: usize, head: u16, parts: &[(u64, u32, bool)]) {
        self.rings[queue].chain(&self.memory, head, parts);
        self.rings[queue].offer(&self.memory, head);
    }

    /// Writes page numbers to guest memory, and a request that names them.
    fn name(&mut self, queue: usize, head: u16, numbers: &[u32]) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let at = DATA + u64::from(head) * 0x4000;
        self.memory.write_slice(&bytes, GuestAddress(at)).unwrap();
        self.ask(queue, head, &[(at, bytes.len() as u32, false)]);
    }

    fn step(&self) -> Next {
        self.device.park().step()
    }

    /// Steps until there is nothing more to do.
    fn run(&self) {
        for _ in 0..10_000 {
            if self.step() == Next::Idle {
                return;
            }
        }
        panic!("it never ends");
    }

    fn used(&mut self, queue: usize) -> Vec<(u32, u32)> {
        self.rings[queue].used(&self.memory)
    }

    /// What was discarded since the last call.
    fn discarded(&self) -> Vec<(u32, u32)> {
        std::mem::take(&mut self.noted.discarded.lock())
    }

    fn counts(&self) -> BalloonCounts {
        self.device.park().counts()
    }

    fn status(&self) -> u32 {
        read32(&self.mmio, 0x70)
    }

    /// As a driver does that starts again.
    fn restart(&mut self) {
        write32(&self.mmio, 0x70, 0);
        assert_eq!(self.status(), 0);
        self.memory.write_slice(&[0; 0xc000], GuestAddress(RINGS[0])).unwrap();
        self.rings = rings();
        start(&self.mmio, &self.rings.each_ref(), false);
    }
}
