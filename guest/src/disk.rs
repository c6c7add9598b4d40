//! The commands about disks. One vCPU at a time may use a disk.

use pincow_guest_protocol::disk::{
    Bus, Disk, DiskError, EVENT_IDX, ID_BYTES, INDIRECT, Operation, Request, SECTOR_BYTES,
    SECTORS_MAX, SEGMENTS_MAX, Segment, WRITES,
};
use pincow_guest_protocol::load::{self, Load, LoadError};
use pincow_guest_protocol::storm::{Storm, StormError, Totals};
use pincow_guest_protocol::{Command, Region, Register, Status};

use crate::mailbox::Answer;
use crate::mmio::{read_virtio, write_mailbox, write_virtio};
use crate::ram::Ram;

/// Bytes of one segment; what devices commonly take.
const SEGMENT_BYTES: u64 = SECTORS_MAX * SECTOR_BYTES / SEGMENTS_MAX as u64;

impl Bus for Ram {
    fn read_register(&mut self, device: usize, offset: u64) -> u32 {
        read_virtio(device, offset)
    }

    fn write_register(&mut self, device: usize, offset: u64, value: u32) {
        write_virtio(device, offset, value);
    }

    /// Nothing: `pause` is slow under some monitors.
    fn relax(&mut self) {}

    fn rest(&mut self, microseconds: u64) {
        write_mailbox(self.vcpu(), Register::Rest, microseconds);
    }
}

/// Does what is asked; `None` if it is not about disks.
pub(crate) fn answer(ram: &mut Ram, control: u64, command: Command) -> Option<Answer> {
    let done = match command {
        Command::DiskInit { device, queue_size, flags } => init(ram, device, queue_size, flags),
        Command::DiskRead { device, sector, sectors, address } => {
            transfer(ram, device, Operation::Read, [sector, sectors, address])
        }
        Command::DiskWrite { device, sector, sectors, address } => {
            transfer(ram, device, Operation::Write, [sector, sectors, address])
        }
        Command::DiskFlush { device } => call(ram, device, &bare(Operation::Flush, 0, 0)),
        Command::DiskDiscard { device, sector, sectors } => {
            call(ram, device, &bare(Operation::Discard, sector, sectors))
        }
        Command::DiskZero { device, sector, sectors } => {
            call(ram, device, &bare(Operation::Zero, sector, sectors))
        }
        Command::DiskId { device, address } => id(ram, device, address),
        Command::DiskBegin { device, sector, sectors, address } => {
            begin(ram, device, [sector, sectors, address])
        }
        Command::DiskEnded { device } => ended(ram, device),
        Command::DiskStorm { first, pages, seed, limit } => {
            start(ram, control, [first, pages, seed], limit)
        }
        Command::DiskStormOn { limit } => go_on(ram, control, |storm| storm.run(limit)),
        Command::DiskVerify => go_on(ram, control, |storm| storm.read_back()),
        Command::DiskLoad { first, pages, seed } => prepare(ram, control, [first, pages, seed]),
        Command::DiskLoadOn { limit } => with_load(ram, control, |load| load.run(limit)),
        Command::DiskExits { device, reads, bells } => leave(ram, device, reads, bells),
        Command::DiskLoadBack => with_load(ram, control, |load| load.read_back()),
        _ => return None,
    };
    Some(done.unwrap_or_else(Answer::Failed))
}

fn init(ram: &mut Ram, device: u64, queue_size: u64, flags: u64) -> Result<Answer, Status> {
    if flags & !(INDIRECT | EVENT_IDX) != 0 {
        return Err(Status::BadArgument);
    }
    let disk = Disk::init(ram, device, queue_size, flags).map_err(status)?;
    let info = disk.info(ram);
    Ok(Answer::Values([info.capacity, info.features, info.queue_size, 0]))
}

fn transfer(
    ram: &mut Ram,
    device: u64,
    operation: Operation,
    at: [u64; 3],
) -> Result<Answer, Status> {
    let [sector, sectors, _] = at;
    let (segments, count) = buffer(*ram, at)?;
    let request = Request { segments: &segments[..count], ..bare(operation, sector, sectors) };
    call(ram, device, &request)
}

fn id(ram: &mut Ram, device: u64, address: u64) -> Result<Answer, Status> {
    if !ram.has_bytes(address, ID_BYTES) {
        return Err(Status::BadArgument);
    }
    let segments = [Segment { address, bytes: ID_BYTES }];
    call(ram, device, &Request { segments: &segments, ..bare(Operation::Id, 0, 0) })
}

fn begin(ram: &mut Ram, device: u64, at: [u64; 3]) -> Result<Answer, Status> {
    let [sector, sectors, _] = at;
    let operation = if device & WRITES == 0 { Operation::Read } else { Operation::Write };
    let (segments, count) = buffer(*ram, at)?;
    let disk = Disk::open(ram, device & !WRITES).map_err(status)?;
    let request = Request { segments: &segments[..count], ..bare(operation, sector, sectors) };
    let ticket = disk.submit(ram, &request).map_err(status)?;
    disk.tell(ram);
    Ok(Answer::Value(ticket))
}

fn ended(ram: &mut Ram, device: u64) -> Result<Answer, Status> {
    let disk = Disk::open(ram, device).map_err(status)?;
    let values = match disk.poll(ram).map_err(status)? {
        Some(end) => [1, end.ticket, end.status.into(), end.written],
        None => [0; 4],
    };
    Ok(Answer::Values(values))
}

fn start(ram: &mut Ram, control: u64, parts: [u64; 3], limit: u64) -> Result<Answer, Status> {
    let [first, pages, _] = parts;
    let region = Region::new(first, pages).filter(|region| ram.has_tables(*region));
    region.ok_or(Status::BadArgument)?;
    let totals = Storm::start(ram, control, parts).and_then(|mut storm| storm.run(limit));
    totals.map(|totals| Answer::Values(totals.values())).map_err(storm_status)
}

fn go_on(
    ram: &mut Ram,
    control: u64,
    run: impl FnOnce(&mut Storm<'_, Ram>) -> Result<Totals, StormError>,
) -> Result<Answer, Status> {
    let totals = Storm::open(ram, control).and_then(|mut storm| run(&mut storm));
    totals.map(|totals| Answer::Values(totals.values())).map_err(storm_status)
}

fn leave(ram: &mut Ram, device: u64, reads: u64, bells: u64) -> Result<Answer, Status> {
    Disk::open(ram, device).map_err(status)?.leave(ram, reads, bells);
    Ok(Answer::Value(0))
}

fn prepare(ram: &mut Ram, control: u64, parts: [u64; 3]) -> Result<Answer, Status> {
    let [first, pages, _] = parts;
    let region = Region::new(first, pages).filter(|region| ram.has_tables(*region));
    region.ok_or(Status::BadArgument)?;
    Load::prepare(ram, control, parts).map_err(load_status)?;
    Ok(Answer::Value(0))
}

fn with_load(
    ram: &mut Ram,
    control: u64,
    run: impl FnOnce(&mut Load<'_, Ram>) -> Result<load::Totals, LoadError>,
) -> Result<Answer, Status> {
    let totals = Load::open(ram, control).and_then(|mut load| run(&mut load));
    totals.map(|totals| Answer::Values(totals.values())).map_err(load_status)
}

fn call(ram: &mut Ram, device: u64, request: &Request<'_>) -> Result<Answer, Status> {
    let disk = Disk::open(ram, device).map_err(status)?;
    if disk.in_flight(ram) > 0 {
        // Its completion would be mistaken for another's.
        return Err(Status::Full);
    }
    let end = disk.call(ram, request).map_err(status)?;
    Ok(Answer::Value(end.status.into()))
}

/// A request without data.
const fn bare(operation: Operation, sector: u64, sectors: u64) -> Request<'static> {
    Request { operation, sector, sectors, segments: &[], token: 0 }
}

/// The segments of a buffer at any address of the tables.
fn buffer(
    ram: Ram,
    [_, sectors, address]: [u64; 3],
) -> Result<([Segment; SEGMENTS_MAX], usize), Status> {
    let bytes = sectors.saturating_mul(SECTOR_BYTES);
    if !(1..=SECTORS_MAX).contains(&sectors) || !ram.has_bytes(address, bytes) {
        return Err(Status::BadArgument);
    }
    let mut segments = [Segment::default(); SEGMENTS_MAX];
    for (number, segment) in (0..).zip(&mut segments) {
        let from = number * SEGMENT_BYTES;
        let left = bytes.saturating_sub(from).min(SEGMENT_BYTES);
        *segment = Segment { address: address + from, bytes: left };
    }
    Ok((segments, bytes.div_ceil(SEGMENT_BYTES) as usize))
}

fn status(error: DiskError) -> Status {
    match error {
        DiskError::None | DiskError::Broken => Status::NoDisk,
        DiskError::QueueSize => Status::BadArgument,
        DiskError::Full => Status::Full,
    }
}

fn storm_status(error: StormError) -> Status {
    match error {
        StormError::Parameters => Status::BadArgument,
        StormError::Disk(error) => status(error),
    }
}

fn load_status(error: LoadError) -> Status {
    match error {
        LoadError::Parameters => Status::BadArgument,
        LoadError::Disk(error) => status(error),
    }
}
