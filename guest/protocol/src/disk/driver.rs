//! From a request to its completion.

use super::layout::{Place, QUEUE_SIZE_MAX, READY, Record, State};
use super::registers::{Bus, register};
use super::request::{Request, SEGMENTS_MAX, status};
use super::ring::{Part, Ring};
use super::{EVENT_IDX, INDIRECT, feature};
use crate::devices::VIRTIO_DEVICES;
use crate::memory::Memory;

/// How often a device is asked whether its reset is done: seconds, where each takes an exit.
const RESET_LOOKS: u32 = 1_000_000;

/// How many fruitless looks there are between two questions whether the device has broken.
const LOOKS: u64 = 1 << 22;

const HEADER_BYTES: u64 = 16;
const RANGE_BYTES: u64 = 16;

/// Why a disk does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// There is none, or it was not set up.
    None,
    /// It did not take what this driver needs, or it has broken.
    Broken,
    /// A number that no queue has.
    QueueSize,
    /// The queue is full.
    Full,
}

/// What was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskInfo {
    /// Sectors.
    pub capacity: u64,
    /// Feature bits.
    pub features: u64,
    /// Entries of the queue.
    pub queue_size: u64,
}

/// A request that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// What [`Disk::submit`] called it.
    pub ticket: u64,
    /// What its caller calls it.
    pub token: u64,
    /// The virtio status.
    pub status: u8,
    /// How many bytes the device says that it wrote to memory.
    pub written: u64,
}

/// A disk that was set up. All its state is in RAM.
#[derive(Clone, Copy, Debug)]
pub struct Disk {
    device: usize,
}

impl Disk {
    /// Resets a device, and sets it up with a queue.
    ///
    /// # Errors
    /// When there is no disk, or it cannot be used. It may be partly set up then.
    pub fn init(
        bus: &mut impl Bus,
        device: u64,
        queue_size: u64,
        flags: u64,
    ) -> Result<Self, DiskError> {
        let disk = Self::numbered(device).ok_or(DiskError::None)?;
        if queue_size != 0 && !queue_size.is_power_of_two() {
            return Err(DiskError::QueueSize);
        }
        let known = [
            (register::MAGIC_VALUE, register::MAGIC),
            (register::VERSION, register::VERSION_2),
            (register::DEVICE_ID, register::BLOCK),
        ];
        if known.iter().any(|(offset, value)| disk.read(bus, *offset) != *value) {
            return Err(DiskError::None);
        }
        disk.reset(bus)?;
        disk.place().clear(bus);
        let features = disk.agree(bus, flags)?;
        disk.place().set(bus, State::Features, features);
        disk.make_queue(bus, queue_size)?;
        let ok = register::ACKNOWLEDGE | register::DRIVER | register::FEATURES_OK;
        disk.write(bus, register::STATUS, ok | register::DRIVER_OK);
        if disk.read(bus, register::STATUS) != ok | register::DRIVER_OK {
            return Err(DiskError::Broken);
        }
        let low = u64::from(disk.read(bus, register::CONFIG));
        let high = u64::from(disk.read(bus, register::CONFIG + 4));
        disk.place().set(bus, State::Capacity, high << 32 | low);
        disk.place().set(bus, State::Ready, READY);
        Ok(disk)
    }

    /// The disk that [`init`](Self::init) has set up.
    ///
    /// # Errors
    /// When it has not.
    pub fn open(bus: &impl Memory, device: u64) -> Result<Self, DiskError> {
        let ready = |disk: &Self| disk.place().get(bus, State::Ready) == READY;
        Self::numbered(device).filter(ready).ok_or(DiskError::None)
    }

    /// What was agreed on.
    pub fn info(self, bus: &impl Bus) -> DiskInfo {
        let get = |word| self.place().get(bus, word);
        DiskInfo {
            capacity: get(State::Capacity),
            features: get(State::Features),
            queue_size: get(State::Size),
        }
    }

    /// How many requests are in flight.
    pub fn in_flight(self, bus: &impl Bus) -> u64 {
        self.place().get(bus, State::InFlight)
    }

    /// Makes a request available; [`tell`](Self::tell) rings the doorbell. The ticket names it
    /// until it ends.
    ///
    /// # Errors
    /// [`DiskError::Full`] when too few descriptors are free.
    pub fn submit(self, bus: &mut impl Bus, request: &Request<'_>) -> Result<u64, DiskError> {
        let place = self.place();
        let mut ring = Ring { memory: &mut *bus, place };
        // The addresses in the record follow from the head, which is the first free descriptor.
        let head = place.get(ring.memory, State::FreeHead);
        let mut parts = [Part::default(); SEGMENTS_MAX + 3];
        let mut count = 0;
        let mut add = |address, bytes, device_writes| {
            parts[count] = Part { address, bytes, device_writes };
            count += 1;
        };
        add(place.record(head, Record::Header), HEADER_BYTES, false);
        if request.operation.has_range() {
            add(place.record(head, Record::Range), RANGE_BYTES, false);
        }
        for segment in request.segments {
            add(segment.address, segment.bytes, request.operation.fills_memory());
        }
        add(place.record(head, Record::Status), 1, true);
        if ring.put(&parts[..count]).is_none() {
            return Err(DiskError::Full);
        }
        let header = place.record(head, Record::Header);
        let range = place.record(head, Record::Range);
        let named = if request.operation.has_range() { 0 } else { request.sector };
        let words = [
            (header, request.operation as u64),
            (header + 8, named),
            (range, request.sector),
            (range + 8, request.sectors),
            (place.record(head, Record::Status), u64::from(status::UNWRITTEN)),
            (place.record(head, Record::Token), request.token),
            (place.record(head, Record::Busy), 1),
        ];
        words.into_iter().for_each(|(address, value)| ring.memory.set_word(address, value));
        let in_flight = place.get(ring.memory, State::InFlight) + 1;
        place.set(ring.memory, State::InFlight, in_flight);
        ring.offer(head);
        Ok(head)
    }

    /// Rings the doorbell, if there is something new and the device wants to be told. Whether it
    /// was rung.
    pub fn tell(self, bus: &mut impl Bus) -> bool {
        let rings = (Ring { memory: &mut *bus, place: self.place() }).should_tell();
        if rings {
            self.write(bus, register::QUEUE_NOTIFY, 0);
        }
        rings
    }

    /// Reads a register `reads` times, and rings the doorbell `bells` times though there is nothing new.
    pub fn leave(self, bus: &mut impl Bus, reads: u64, bells: u64) {
        for _ in 0..reads {
            self.read(bus, register::STATUS);
        }
        for _ in 0..bells {
            self.write(bus, register::QUEUE_NOTIFY, 0);
        }
    }

    /// How many requests the device has ended that this driver has not seen yet.
    #[must_use]
    pub fn unseen(self, memory: &impl Memory) -> u64 {
        let (address, seen) = (self.place().used() + 2, self.place().get(memory, State::Seen));
        let used = memory.word(address & !7) >> ((address & 7) * 8);
        used.wrapping_sub(seen) & 0xffff
    }

    /// The next request that has ended, if any.
    ///
    /// # Errors
    /// [`DiskError::Broken`] when the device names one that is not in flight.
    pub fn poll(self, bus: &mut impl Bus) -> Result<Option<Completion>, DiskError> {
        let place = self.place();
        let mut ring = Ring { memory: bus, place };
        let Some(used) = ring.take_used() else { return Ok(None) };
        let ticket = used.head;
        let is_request = ticket < place.get(ring.memory, State::Size)
            && ring.memory.word(place.record(ticket, Record::Busy)) == 1;
        if !is_request {
            return Err(DiskError::Broken);
        }
        let status = ring.memory.word(place.record(ticket, Record::Status)) as u8;
        let token = ring.memory.word(place.record(ticket, Record::Token));
        ring.memory.set_word(place.record(ticket, Record::Busy), 0);
        ring.free(ticket);
        let in_flight = place.get(ring.memory, State::InFlight) - 1;
        place.set(ring.memory, State::InFlight, in_flight);
        Ok(Some(Completion { ticket, token, status, written: used.written }))
    }

    /// Carries out one request while no other is in flight.
    ///
    /// # Errors
    /// When the device breaks.
    pub fn call(self, bus: &mut impl Bus, request: &Request<'_>) -> Result<Completion, DiskError> {
        self.submit(bus, request)?;
        self.tell(bus);
        let mut looks = 0_u64;
        loop {
            if let Some(completion) = self.poll(bus)? {
                return Ok(completion);
            }
            bus.relax();
            looks += 1;
            if looks.is_multiple_of(LOOKS) && self.is_broken(bus) {
                return Err(DiskError::Broken);
            }
        }
    }

    /// Whether the device has broken. It takes an exit.
    pub fn is_broken(self, bus: &mut impl Bus) -> bool {
        self.read(bus, register::STATUS) & register::NEEDS_RESET != 0
    }

    fn numbered(device: u64) -> Option<Self> {
        let device = usize::try_from(device).ok()?;
        (device < VIRTIO_DEVICES).then_some(Self { device })
    }

    fn reset(self, bus: &mut impl Bus) -> Result<(), DiskError> {
        self.write(bus, register::STATUS, 0);
        for _ in 0..RESET_LOOKS {
            if self.read(bus, register::STATUS) == 0 {
                return Ok(());
            }
            bus.relax();
        }
        Err(DiskError::Broken)
    }

    /// Agrees on features.
    fn agree(self, bus: &mut impl Bus, flags: u64) -> Result<u64, DiskError> {
        let mut wanted = 1_u64 << feature::VERSION_1
            | 1 << feature::RO
            | 1 << feature::FLUSH
            | 1 << feature::DISCARD
            | 1 << feature::WRITE_ZEROES;
        for (flag, bit) in [(INDIRECT, feature::INDIRECT), (EVENT_IDX, feature::EVENT_IDX)] {
            if flags & flag != 0 {
                wanted |= 1 << bit;
            }
        }
        self.write(bus, register::STATUS, register::ACKNOWLEDGE);
        self.write(bus, register::STATUS, register::ACKNOWLEDGE | register::DRIVER);
        let mut agreed = 0;
        for half in [0, 1] {
            self.write(bus, register::DEVICE_FEATURES_SEL, half);
            let offered = self.read(bus, register::DEVICE_FEATURES);
            let taken = offered & (wanted >> (32 * half)) as u32;
            self.write(bus, register::DRIVER_FEATURES_SEL, half);
            self.write(bus, register::DRIVER_FEATURES, taken);
            agreed |= u64::from(taken) << (32 * half);
        }
        let ok = register::ACKNOWLEDGE | register::DRIVER | register::FEATURES_OK;
        self.write(bus, register::STATUS, ok);
        let refused = self.read(bus, register::STATUS) != ok;
        if refused || agreed >> feature::VERSION_1 & 1 == 0 {
            return Err(DiskError::Broken);
        }
        Ok(agreed)
    }

    fn make_queue(self, bus: &mut impl Bus, wanted: u64) -> Result<(), DiskError> {
        self.write(bus, register::QUEUE_SEL, 0);
        let most = u64::from(self.read(bus, register::QUEUE_NUM_MAX)).min(QUEUE_SIZE_MAX);
        let size = if wanted == 0 { most } else { wanted.min(most) };
        if !size.is_power_of_two() {
            return Err(DiskError::Broken);
        }
        Ring { memory: &mut *bus, place: self.place() }.format(size);
        self.write(bus, register::QUEUE_NUM, size as u32);
        let registers = [register::QUEUE_DESC, register::QUEUE_DRIVER, register::QUEUE_DEVICE];
        for (offset, address) in registers.into_iter().zip(self.place().rings()) {
            self.write(bus, offset, address as u32);
            self.write(bus, offset + 4, (address >> 32) as u32);
        }
        self.write(bus, register::QUEUE_READY, 1);
        Ok(())
    }

    fn place(self) -> Place {
        Place::new(self.device)
    }

    fn read(self, bus: &mut impl Bus, offset: u64) -> u32 {
        bus.read_register(self.device, offset)
    }

    fn write(self, bus: &mut impl Bus, offset: u64, value: u32) {
        bus.write_register(self.device, offset, value);
    }
}
