//! The device, and the driver's side of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use pincow_vmm::devices::bus::MmioDevice;
use pincow_vmm::virtio::blk::{Blk, BlkConfig, BlkOptions, BlkWorker, Policy, Ports, RestoreError};
use pincow_vmm::virtio::{Mmio, Signals};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use crate::actions::*;
use crate::host::{Countdown, FuzzDisk, FuzzEngine, FuzzPinner, Transfers, disk_byte};

type Disk = Blk<GuestMemoryMmap, FuzzPinner, FuzzDisk, FuzzEngine>;
type AllPorts = Ports<GuestMemoryMmap, FuzzPinner, FuzzDisk, FuzzEngine>;

const QUEUE_SEL: u64 = 0x30;
const QUEUE_NUM: u64 = 0x38;
const QUEUE_READY: u64 = 0x44;
const NOTIFY: u64 = 0x50;
const STATUS: u64 = 0x70;

/// Steps that everything in flight ends within.
const MOST_STEPS: usize = 10_000;

/// The levers of the host's side.
#[derive(Clone, Default)]
struct Levers {
    pins: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    pins_busy: Countdown,
    disk_busy: Countdown,
    disk_failing: Countdown,
    transfers: Arc<Mutex<Transfers>>,
}

/// A guest with one disk.
pub struct Guest {
    memory: GuestMemoryMmap,
    disk: Arc<Disk>,
    mmio: Mmio,
    levers: Levers,
    next_avail: [u16; QUEUES as usize],
}

fn config() -> BlkConfig {
    let options = BlkOptions {
        capacity: SECTORS,
        queues: QUEUES,
        queue_size: ENTRIES,
        ..BlkOptions::default()
    };
    BlkConfig::try_from(options).expect("the options are valid")
}

fn memory() -> GuestMemoryMmap {
    GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY as usize)]).expect("1 MiB of memory")
}

fn ports(memory: &GuestMemoryMmap, levers: &Levers) -> AllPorts {
    let (pins, busy) = (levers.pins.clone(), levers.pins_busy.clone());
    Ports {
        memory: memory.clone(),
        pinner: FuzzPinner { memory: memory.clone(), pins, busy },
        disk: FuzzDisk {
            busy: levers.disk_busy.clone(),
            failing: levers.disk_failing.clone(),
            open: levers.open.clone(),
        },
        engine: FuzzEngine(levers.transfers.clone()),
    }
}

fn rings(queue: u8) -> u64 {
    RINGS + RINGS_STRIDE * u64::from(queue % QUEUES as u8)
}

impl Guest {
    /// A guest whose driver is ready.
    pub fn boot() -> Self {
        let (memory, levers) = (memory(), Levers::default());
        let signals = Arc::new(Signals::new(Box::new(())));
        let worker = BlkWorker::new(ports(&memory, &levers), config(), signals.clone());
        let disk = Arc::new(Blk::new(worker, signals).expect("an event counter"));
        let mmio = Mmio::new(disk.clone());
        let guest = Self { memory, disk, mmio, levers, next_avail: [0; QUEUES as usize] };
        guest.start(true);
        guest
    }

    fn write32(&self, offset: u64, value: u32) {
        self.mmio.write(offset, &value.to_le_bytes());
    }

    fn read32(&self, offset: u64) -> u32 {
        let mut data = [0xff; 4];
        self.mmio.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    fn put(&self, address: u64, bytes: &[u8]) {
        // Addresses that are not the guest's are the input's to try elsewhere.
        let _ = self.memory.write_slice(bytes, GuestAddress(address));
    }

    fn start(&self, event_idx: bool) {
        for status in [1, 3] {
            self.write32(STATUS, status);
        }
        for page in [0, 1] {
            self.write32(0x14, page);
            let without = if event_idx || page == 1 { 0 } else { 1 << 29 };
            self.write32(0x24, page);
            self.write32(0x20, self.read32(0x10) & !without);
        }
        self.write32(STATUS, 11);
        for queue in 0..QUEUES as u8 {
            self.write32(QUEUE_SEL, queue.into());
            self.write32(QUEUE_NUM, ENTRIES.into());
            let base = rings(queue);
            for (register, address) in [(0x80, base), (0x90, base + 0x1000), (0xa0, base + 0x2000)]
            {
                self.write32(register, address as u32);
                self.write32(register + 4, (address >> 32) as u32);
            }
            self.write32(QUEUE_READY, 1);
        }
        self.write32(STATUS, 15);
    }

    fn descriptor(&self, table: u64, index: u16, descriptor: &Descriptor) {
        let Descriptor { address, len, flags, next } = *descriptor;
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&address.0.to_le_bytes());
        bytes[8..12].copy_from_slice(&len.0.to_le_bytes());
        bytes[12] = flags & 7;
        bytes[14] = next % (ENTRIES as u8 + 1);
        self.put(table.wrapping_add(16 * u64::from(index)), &bytes);
    }

    fn offer(&mut self, queue: u8, head: u16) {
        let queue = queue % QUEUES as u8;
        let next = &mut self.next_avail[usize::from(queue)];
        let place = u64::from(*next % ENTRIES);
        *next = next.wrapping_add(1);
        let next = *next;
        let ring = rings(queue) + 0x1000;
        self.put(ring + 4 + 2 * place, &head.to_le_bytes());
        self.put(ring + 2, &next.to_le_bytes());
    }

    /// A header, a segment of data and a status, in three descriptors.
    fn request(&mut self, queue: u8, head: u16, kind: u32, sector: u64, data: (u64, u32)) {
        let head = head % (ENTRIES - 2);
        let header =
            DATA + 0x2_0000 + u64::from(queue % QUEUES as u8) * 0x1000 + 32 * u64::from(head);
        let mut bytes = [0; 17];
        bytes[..4].copy_from_slice(&kind.to_le_bytes());
        bytes[8..16].copy_from_slice(&sector.to_le_bytes());
        bytes[16] = 0xee;
        self.put(header, &bytes);
        let write = if matches!(kind, 0 | 8) { 2 } else { 0 };
        let parts = [(header, 16, 1), (data.0, data.1, 1 | write), (header + 16, 1, 2)];
        for (n, (address, len, flags)) in parts.into_iter().enumerate() {
            let index = head + n as u16;
            let (address, len) = (Address(address), Length(len));
            let descriptor = Descriptor { address, len, flags, next: index as u8 + 1 };
            self.descriptor(rings(queue), index, &descriptor);
        }
        self.offer(queue, head);
    }

    fn transfers(&self) -> std::sync::MutexGuard<'_, Transfers> {
        self.levers.transfers.lock().expect("nobody panics and goes on")
    }

    /// Does one thing.
    pub fn act(&mut self, action: &Action) {
        match *action {
            Action::Register { register, value } => self.write32(u64::from(register & !3), value),
            Action::Read { offset, len } => {
                self.mmio.read(offset.into(), &mut vec![0xff; usize::from(len % 17)]);
            }
            Action::Write { offset, bytes, len } => {
                self.mmio.write(offset.into(), &bytes[..usize::from(len % 9)]);
            }
            Action::Notify { queue } => self.write32(NOTIFY, queue.into()),
            Action::Descriptor { queue, index, ref descriptor } => {
                self.descriptor(rings(queue), u16::from(index) % ENTRIES, descriptor);
            }
            Action::Indirect { queue, index, table, ref descriptors } => {
                for (n, descriptor) in descriptors.iter().take(40).enumerate() {
                    self.descriptor(table.0, n as u16, descriptor);
                }
                let len = Length(16 * descriptors.len().min(40) as u32);
                let refers = Descriptor { address: table, len, flags: 4, next: 0 };
                self.descriptor(rings(queue), u16::from(index) % ENTRIES, &refers);
            }
            Action::Request { queue, head, kind, sector, data, len } => {
                self.request(queue, head.into(), kind.0, sector.0, (data.0, len.0));
            }
            Action::Range { at, sector, sectors, flags } => {
                let mut bytes = [0; 16];
                bytes[..8].copy_from_slice(&sector.0.to_le_bytes());
                bytes[8..12].copy_from_slice(&sectors.to_le_bytes());
                bytes[12] = flags;
                self.put(at.0, &bytes);
            }
            Action::Offer { queue, head } => self.offer(queue, head % (ENTRIES + 1)),
            Action::Available { queue, index } => {
                self.put(rings(queue) + 0x1002, &index.to_le_bytes());
            }
            Action::Bytes { at, bytes } => self.put(at.0, &bytes),
            Action::Step => self.step(),
            Action::End { which, sectors, fails } => {
                let most = usize::from(sectors % 17) * 512;
                self.transfers().end(which.into(), most, fails);
            }
            Action::Busy { pins, operations } => {
                self.levers.pins_busy.store(usize::from(pins % 4), Ordering::Relaxed);
                self.levers.disk_busy.store(usize::from(operations % 4), Ordering::Relaxed);
            }
            Action::Failing { operations } => {
                self.levers.disk_failing.store(usize::from(operations % 4), Ordering::Relaxed);
            }
            Action::Copy { policy } => self.copy(match policy % 3 {
                0 => Policy::Reissue,
                1 => Policy::Error,
                _ => Policy::Drain,
            }),
            Action::Restart { event_idx } => self.restart(event_idx),
        }
    }

    fn step(&self) {
        self.disk.park().step();
    }

    /// Copies the guest and lets the copy end what it began with.
    fn copy(&self, policy: Policy) {
        let (transport, state) = (self.mmio.save(), self.disk.park().save());
        let (memory, levers) = (memory(), Levers::default());
        let mut bytes = vec![0; MEMORY as usize];
        self.memory.read_slice(&mut bytes, GuestAddress(0)).expect("all of memory");
        memory.write_slice(&bytes, GuestAddress(0)).expect("all of memory");
        let signals = Arc::new(Signals::restore(transport.signals, Box::new(())));
        let restored =
            BlkWorker::restore(ports(&memory, &levers), config(), signals.clone(), &state, policy);
        let worker = match restored {
            Ok(worker) => worker,
            Err(RestoreError::NotDrained(_)) => return,
            Err(error) => panic!("a device's own state was refused: {error}"),
        };
        assert_eq!(worker.save(), state, "a copy differs");
        let disk = Arc::new(Blk::new(worker, signals).expect("an event counter"));
        let mmio = Mmio::restore(&transport, disk.clone()).expect("a device's own state");
        assert_eq!(mmio.save(), transport, "a copy differs");
        let next_avail = self.next_avail;
        Self { memory, disk, mmio, levers, next_avail }.settle();
    }

    /// Ends everything that is in flight.
    pub fn settle(&self) {
        let nothing = |counter: &Arc<AtomicUsize>| counter.load(Ordering::Relaxed) == 0;
        for _ in 0..MOST_STEPS {
            self.transfers().end_all();
            self.step();
            let idle = self.disk.park().requests_in_flight() == 0;
            if idle && nothing(&self.levers.pins) && nothing(&self.levers.open) {
                return;
            }
        }
        panic!("requests do not end");
    }

    /// What a driver does that begins again.
    pub fn restart(&mut self, event_idx: bool) {
        self.write32(STATUS, 0);
        self.settle();
        // The reset's own end is a step too.
        self.step();
        assert_eq!(self.read32(STATUS), 0, "a reset does not end");
        self.put(RINGS, &[0; (RINGS_STRIDE * QUEUES as u64) as usize]);
        self.next_avail = [0; QUEUES as usize];
        for busy in [&self.levers.pins_busy, &self.levers.disk_busy, &self.levers.disk_failing] {
            busy.store(0, Ordering::Relaxed);
        }
        self.start(event_idx);
        assert_eq!(self.read32(STATUS), 15, "a device does not start again");
    }

    /// Reads a sector as any driver does.
    pub fn expect_service(&mut self) {
        let sector = 5;
        for queue in 0..QUEUES as u8 {
            self.request(queue, 0, 0, sector, (DATA + 512, 512));
            self.settle();
            let mut bytes = [0; 512];
            self.memory.read_slice(&mut bytes, GuestAddress(DATA + 512)).expect("guest memory");
            let expected = (0..512).map(|n| disk_byte(sector * 512 + n));
            assert!(bytes.into_iter().eq(expected), "a read got something else");
            let used: u16 =
                self.memory.read_obj(GuestAddress(rings(queue) + 0x2002)).expect("guest memory");
            assert_eq!(used, 1, "a request was not answered");
        }
    }
}
