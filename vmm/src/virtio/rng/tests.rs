//! Whole devices without KVM: a driver in memory, registers, a ring.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::*;
use crate::virtio::test_driver::{Line, Ring, read32, start, write32};
use crate::virtio::{Mmio, MmioState, Next, Signals};

mod copies;
mod hostile;
mod requests;

const MEMORY: usize = 1 << 20;
const END: u64 = MEMORY as u64;
const DATA: u64 = 0x2_0000;
const RING: u64 = 0x1_0000;

/// Bytes that tell which source they came from and how far it was.
#[derive(Clone)]
struct Counting {
    next: u8,
    fails: Arc<AtomicBool>,
}

impl Entropy for Counting {
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        if self.fails.load(Ordering::Acquire) {
            return Err(io::ErrorKind::Other.into());
        }
        for byte in bytes {
            *byte = self.next;
            // Never 0, which is what memory holds.
            self.next = self.next % 250 + 1;
        }
        Ok(())
    }
}

struct Bench {
    memory: GuestMemoryMmap,
    device: Arc<Rng<GuestMemoryMmap, Counting>>,
    mmio: Mmio,
    ring: Ring,
    line: Line,
    fails: Arc<AtomicBool>,
}

fn memory() -> GuestMemoryMmap {
    GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY)]).unwrap()
}

impl Bench {
    fn idle() -> Self {
        let (memory, line, fails) = (memory(), Line::default(), Arc::new(AtomicBool::new(false)));
        let signals = Arc::new(Signals::new(Box::new(line.clone())));
        let source = Counting { next: 1, fails: fails.clone() };
        let worker = RngWorker::new(memory.clone(), source, signals.clone());
        let device = Arc::new(Rng::new(worker, signals).unwrap());
        let mmio = Mmio::new(device.clone());
        Self { memory, device, mmio, ring: Ring::new(0, RING, QUEUE_SIZE), line, fails }
    }

    /// With a driver that is ready, without EVENT_IDX.
    fn new() -> Self {
        let bench = Self::idle();
        start(&bench.mmio, &[&bench.ring], false);
        bench
    }

    /// A copy of the guest, through serialization, whose source begins at `next`.
    fn copy(&self, next: u8) -> Self {
        let parked = self.device.park();
        let state = serde_json::to_string(&(self.mmio.save(), parked.save())).unwrap();
        let mut bytes = vec![0; MEMORY];
        self.memory.read_slice(&mut bytes, GuestAddress(0)).unwrap();
        drop(parked);
        let (transport, worker): (MmioState, RngState) = serde_json::from_str(&state).unwrap();
        let (memory, line, fails) = (memory(), Line::default(), Arc::new(AtomicBool::new(false)));
        memory.write_slice(&bytes, GuestAddress(0)).unwrap();
        let signals = Arc::new(Signals::restore(transport.signals, Box::new(line.clone())));
        let source = Counting { next, fails: fails.clone() };
        let worker = RngWorker::restore(memory.clone(), source, signals.clone(), &worker).unwrap();
        let device = Arc::new(Rng::new(worker, signals).unwrap());
        let mmio = Mmio::restore(&transport, device.clone()).unwrap();
        Self { memory, device, mmio, ring: self.ring.clone(), line, fails }
    }

    fn ask(&mut self, head: u16, parts: &[(u64, u32, bool)]) {
        self.ring.chain(&self.memory, head, parts);
        self.ring.offer(&self.memory, head);
    }

    fn step(&self) -> Next {
        self.device.park().step()
    }

    fn used(&mut self) -> Vec<(u32, u32)> {
        self.ring.used(&self.memory)
    }

    fn bytes(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }

    fn status(&self) -> u32 {
        read32(&self.mmio, 0x70)
    }

    /// As a driver does that starts again.
    fn restart(&mut self) {
        write32(&self.mmio, 0x70, 0);
        assert_eq!(self.status(), 0);
        self.memory.write_slice(&[0; 0x4000], GuestAddress(RING)).unwrap();
        self.ring = Ring::new(0, RING, QUEUE_SIZE);
        start(&self.mmio, &[&self.ring], false);
    }
}
