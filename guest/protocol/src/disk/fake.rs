//! A disk for tests, which executes rings in memory. It takes and ends requests in any order, a few
//! each time that the driver has nothing to do, and panics at whatever no driver may do.

use super::registers::{Bus, register as reg};
use super::{Operation, SECTOR_BYTES, feature, status};
use crate::map::PAGE_BYTES;
use crate::memory::fake::Ram;
use crate::memory::{ByteMemory, Memory};
use crate::table::mix;

/// What a fake does wrong, or otherwise not as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The data of a read does not arrive.
    LoseRead,
    /// The first half of the last sector of a read arrives.
    TearRead,
    /// A write is not on the disk.
    LoseWrite,
    /// A write lands one sector further.
    MisplaceWrite,
    /// The byte after the last segment of a read is written.
    Overrun,
    /// It fails.
    Fail,
    /// The used ring says that too little was written.
    WrongLength,
    /// The used ring names a request that is not in flight.
    WrongHead,
    /// Data to be written is changed in memory.
    SpoilSource,
}

#[derive(Clone, Debug)]
struct Job {
    head: u64,
    operation: Operation,
    sector: u64,
    readable: Vec<(u64, u64)>,
    writable: Vec<(u64, u64)>,
}

/// Memory with one disk, device number 0.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) ram: Ram,
    pub(crate) disk: Vec<u8>,
    /// Happens to each so-manieth request.
    pub(crate) fault: Option<(Fault, u64)>,
    /// How many doorbells were rung.
    pub(crate) bells: u64,
    /// Ends nothing while it is set.
    pub(crate) held: bool,
    /// What discarded bytes are.
    pub(crate) discarded: u8,
    /// A page that must not be read while the word at an address is not 0.
    pub(crate) guarded: Option<(u64, u64)>,
    pub(crate) offered: u64,
    agreed: u64,
    status: u32,
    registers: std::collections::HashMap<u64, u32>,
    taken: u16,
    used: u16,
    told: bool,
    jobs: Vec<Job>,
    ended: u64,
}

const PAGES: usize = 8192;

impl Machine {
    pub(crate) fn new(sectors: u64) -> Self {
        let bits = [
            feature::VERSION_1,
            feature::FLUSH,
            feature::DISCARD,
            feature::WRITE_ZEROES,
            feature::INDIRECT,
            feature::EVENT_IDX,
        ];
        Self {
            ram: Ram::new(PAGES),
            disk: vec![0; (sectors * SECTOR_BYTES) as usize],
            fault: None,
            bells: 0,
            held: false,
            discarded: 0x5d,
            guarded: None,
            offered: bits.iter().fold(0, |all, bit| all | 1 << bit),
            agreed: 0,
            status: 0,
            registers: Default::default(),
            taken: 0,
            used: 0,
            told: false,
            jobs: Vec::new(),
            ended: 0,
        }
    }

    /// How many requests it has.
    pub(crate) fn in_flight(&self) -> usize {
        self.jobs.len()
    }

    pub(crate) fn sector(&self, sector: u64) -> [u8; 512] {
        let at = (sector * SECTOR_BYTES) as usize;
        self.disk[at..at + 512].try_into().expect("a sector")
    }

    fn register(&self, offset: u64) -> u64 {
        self.registers.get(&offset).copied().unwrap_or(0).into()
    }

    fn address(&self, offset: u64) -> u64 {
        self.register(offset) | self.register(offset + 4) << 32
    }

    fn size(&self) -> u64 {
        self.register(reg::QUEUE_NUM)
    }

    fn half(&self, address: u64) -> u16 {
        self.ram.bytes(address) as u16
    }

    fn put(&mut self, address: u64, bytes: &[u8]) {
        for (byte, address) in bytes.iter().zip(address..) {
            self.ram.set_byte(address, *byte);
        }
    }

    /// Takes what is available.
    fn take(&mut self) {
        let driver = self.address(reg::QUEUE_DRIVER);
        while self.taken != self.half(driver + 2) {
            let slot = driver + 4 + 2 * (u64::from(self.taken) % self.size());
            let head = self.half(slot).into();
            assert!(self.jobs.iter().all(|job| job.head != head), "used twice: {head}");
            self.taken = self.taken.wrapping_add(1);
            let job = self.decode(head);
            self.jobs.push(job);
        }
        // The next one is to be told of.
        let place = self.address(reg::QUEUE_DEVICE) + 4 + 8 * self.size();
        self.put(place, &self.taken.to_le_bytes());
    }

    fn decode(&self, head: u64) -> Job {
        let (mut table, mut index, mut limit) = (self.address(reg::QUEUE_DESC), head, self.size());
        let (mut readable, mut writable) = (Vec::new(), Vec::new());
        loop {
            assert!(index < limit);
            let address = self.ram.word(table + index * 16);
            let rest = self.ram.word(table + index * 16 + 8);
            let (bytes, flags, next) = (rest & 0xffff_ffff, rest >> 32 & 0xffff, rest >> 48);
            if flags & 4 != 0 {
                assert!(self.agreed >> feature::INDIRECT & 1 != 0 && flags == 4);
                (table, index, limit) = (address, 0, bytes / 16);
                continue;
            }
            assert!(bytes > 0);
            match flags & 2 {
                0 => readable.push((address, bytes)),
                _ => writable.push((address, bytes)),
            }
            assert!(flags & 2 != 0 || writable.is_empty(), "out of order");
            if flags & 1 == 0 {
                break;
            }
            index = next;
        }
        let (header, length) = readable.remove(0);
        assert_eq!(length, 16);
        let operation = Operation::from_number(self.ram.word(header)).expect("an operation");
        Job { head, operation, sector: self.ram.word(header + 8), readable, writable }
    }

    /// Ends one request.
    fn end(&mut self, mut job: Job) {
        self.ended += 1;
        let fault = self.fault.filter(|(_, every)| self.ended.is_multiple_of(*every));
        let fault = fault.map(|(fault, _)| fault);
        let (status_at, length) = job.writable.pop().expect("a status");
        assert_eq!(length, 1);
        let mut written = 1;
        let failed = fault == Some(Fault::Fail);
        if !failed {
            written += self.execute(&job, fault);
        }
        let status = if failed { status::IO_ERROR } else { status::OK };
        self.put(status_at, &[status]);
        match fault {
            Some(Fault::WrongLength) => written -= 1,
            Some(Fault::WrongHead) => job.head = (job.head + 1) % self.size(),
            Some(Fault::Fail) => written = 0,
            _ => {}
        }
        let device = self.address(reg::QUEUE_DEVICE);
        let element = device + 4 + 8 * (u64::from(self.used) % self.size());
        self.put(element, &(job.head as u32).to_le_bytes());
        self.put(element + 4, &(written as u32).to_le_bytes());
        self.used = self.used.wrapping_add(1);
        self.put(device + 2, &self.used.to_le_bytes());
    }

    /// The bytes written to memory.
    fn execute(&mut self, job: &Job, fault: Option<Fault>) -> u64 {
        let mut at = (job.sector * SECTOR_BYTES) as usize;
        let mut written = 0;
        match job.operation {
            Operation::Read => {
                let total: u64 = job.writable.iter().map(|(_, bytes)| bytes).sum();
                let lost = match fault {
                    Some(Fault::LoseRead) => 0,
                    Some(Fault::TearRead) => total - 256,
                    _ => u64::MAX,
                };
                for &(address, bytes) in &job.writable {
                    for address in address..address + bytes {
                        if written < lost {
                            self.ram.set_byte(address, self.disk[at]);
                        }
                        (at, written) = (at + 1, written + 1);
                    }
                }
                if let (Some(Fault::Overrun), Some((address, bytes))) = (fault, job.writable.last())
                {
                    let after = self.ram.bytes(address + bytes) as u8;
                    self.ram.set_byte(address + bytes, !after);
                }
            }
            Operation::Write => {
                if fault == Some(Fault::MisplaceWrite) {
                    at += SECTOR_BYTES as usize;
                }
                for &(address, bytes) in &job.readable {
                    for address in address..address + bytes {
                        let place = at.min(self.disk.len() - 1);
                        if fault != Some(Fault::LoseWrite) {
                            self.disk[place] = self.ram.bytes(address) as u8;
                        }
                        at += 1;
                    }
                }
                if fault == Some(Fault::SpoilSource) {
                    self.put(job.readable[0].0 + 9, &[0xee]);
                }
            }
            Operation::Id => {
                self.put(job.writable[0].0, b"fake\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
                written = 20;
            }
            Operation::Flush => assert!(job.readable.is_empty() && job.writable.is_empty()),
            Operation::Discard | Operation::Zero => {
                let range = job.readable[0].0;
                let from = self.ram.word(range) * SECTOR_BYTES;
                let to = from + self.ram.word(range + 8) * SECTOR_BYTES;
                let byte = if job.operation == Operation::Zero { 0 } else { self.discarded };
                self.disk[from as usize..to as usize].fill(byte);
            }
        }
        written
    }
}

impl Memory for Machine {
    fn load(&self, page: u64, index: usize) -> u64 {
        if let Some((guarded, word)) = self.guarded
            && page == guarded
        {
            assert_eq!(self.ram.word(word), 0, "page {page:#x} is read");
        }
        self.ram.load(page, index)
    }

    fn store(&mut self, page: u64, index: usize, value: u64) {
        self.ram.store(page, index, value);
    }
}

impl ByteMemory for Machine {
    fn set_byte(&mut self, address: u64, value: u8) {
        self.ram.set_byte(address, value);
    }
}

impl Bus for Machine {
    fn read_register(&mut self, device: usize, offset: u64) -> u32 {
        if device != 0 {
            return u32::MAX;
        }
        match offset {
            reg::MAGIC_VALUE => reg::MAGIC,
            reg::VERSION | reg::DEVICE_ID => 2,
            reg::DEVICE_FEATURES => {
                (self.offered >> (32 * self.register(reg::DEVICE_FEATURES_SEL))) as u32
            }
            reg::QUEUE_NUM_MAX => 128,
            reg::STATUS => self.status,
            reg::CONFIG => (self.disk.len() as u64 / SECTOR_BYTES) as u32,
            0x104 => 0,
            _ => panic!("read of register {offset:#x}"),
        }
    }

    fn write_register(&mut self, device: usize, offset: u64, value: u32) {
        assert_eq!(device, 0);
        match offset {
            reg::STATUS if value == 0 => {
                (self.status, self.taken, self.used, self.agreed) = (0, 0, 0, 0);
                self.jobs.clear();
            }
            reg::STATUS => self.status = value,
            reg::DRIVER_FEATURES => {
                self.agreed |= u64::from(value) << (32 * self.register(reg::DRIVER_FEATURES_SEL));
            }
            reg::QUEUE_NOTIFY => {
                assert_eq!((value, self.status), (0, 15));
                self.bells += 1;
                self.told = true;
            }
            _ => {
                self.registers.insert(offset, value);
            }
        }
    }

    fn relax(&mut self) {
        if self.told {
            self.told = false;
            self.take();
        }
        if self.held || self.jobs.is_empty() {
            return;
        }
        for _ in 0..1 + mix(self.ended) % 3 {
            if !self.jobs.is_empty() {
                let chosen = mix(self.ended ^ 77) as usize % self.jobs.len();
                let job = self.jobs.remove(chosen);
                self.end(job);
            }
        }
    }
}

const _: () = assert!(PAGES * PAGE_BYTES > 16 << 20);
