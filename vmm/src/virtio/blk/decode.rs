//! From a descriptor chain to a [`Request`].
//!
//! A request is, in this order and cut into descriptors at will (section 2.7.4.3): bytes that the
//! device reads, 16 of header and then data; bytes that it writes, data and then one of status.
//! Descriptors without bytes are passed over.

use std::ops::Deref;

use virtio_bindings::virtio_blk::VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP as UNMAP;
use virtio_queue::DescriptorChain;
use vm_memory::{Bytes, GuestAddress, GuestMemory, Permissions};

use super::config::BlkConfig;
use super::request::{ID_LEN, Kind, Request, SECTOR, Status, ZeroedRange};
use crate::virtio::chain::{Endless, Layout, Segment, are_inside};

/// Length of a request's header, and of a range of a discard, in bytes.
const RECORD: usize = 16;

/// What came out of a chain.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A request to carry out.
    Request(Request),
    /// Something to be answered at once.
    Answer {
        /// Names it to the driver.
        head: u16,
        /// What to answer.
        status: Status,
        /// Guest-physical address of the status byte.
        status_address: u64,
        /// What the used ring says was written, in bytes.
        used_len: u32,
    },
}

/// A chain that cannot be answered: the device is broken until it is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It does not end, is cut off, or has more descriptors than a chain may have.
    Chain,
    /// There is no byte in guest memory for the status.
    NoStatus,
}

impl Request {
    /// Decodes `chain`, whose head the caller has checked, for a disk with `config`.
    ///
    /// # Errors
    /// [`Malformed`] when there is no way to answer.
    pub fn decode<M>(chain: DescriptorChain<M>, config: &BlkConfig) -> Result<Decoded, Malformed>
    where
        M: Deref + Clone,
        M::Target: GuestMemory + Sized,
    {
        let (head, memory) = (chain.head_index(), chain.clone());
        let memory = memory.memory();
        let mut layout = Layout::of(chain).map_err(|Endless| Malformed::Chain)?;
        let status_address = layout.take_status(memory)?;
        let fills_memory = !layout.writable.is_empty();
        match layout.decode(head, status_address, memory, config) {
            Ok(request) => Ok(Decoded::Request(request)),
            Err(status) => {
                let used_len = u32::from(!fills_memory);
                Ok(Decoded::Answer { head, status, status_address, used_len })
            }
        }
    }
}

impl Layout {
    /// Takes the last byte that the device writes.
    fn take_status<M: GuestMemory>(&mut self, memory: &M) -> Result<u64, Malformed> {
        let last = self.writable.last_mut().ok_or(Malformed::NoStatus)?;
        last.len -= 1;
        let address = last.address.checked_add(last.len.into()).ok_or(Malformed::NoStatus)?;
        if last.len == 0 {
            self.writable.pop();
        }
        match memory.check_range(GuestAddress(address), 1, Permissions::Write) {
            true => Ok(address),
            false => Err(Malformed::NoStatus),
        }
    }

    fn decode<M: GuestMemory>(
        mut self,
        head: u16,
        status_address: u64,
        memory: &M,
        config: &BlkConfig,
    ) -> Result<Request, Status> {
        if self.mixed
            || !are_inside(&self.readable, memory, Permissions::Read)
            || !are_inside(&self.writable, memory, Permissions::Write)
        {
            return Err(Status::IoError);
        }
        let header = take_record(&mut self.readable, memory).ok_or(Status::IoError)?;
        let kind = Kind::of_type(header.number(0));
        let sector = header.number_64(8);
        let none = |segments: Vec<Segment>| match segments.is_empty() {
            true => Ok(()),
            false => Err(Status::IoError),
        };
        let mut ranges = Vec::new();
        let segments = match kind {
            Kind::In => {
                none(self.readable)?;
                self.writable
            }
            Kind::GetId => {
                none(self.readable)?;
                first_bytes(self.writable, ID_LEN as u32)
            }
            Kind::Out => {
                none(self.writable)?;
                self.readable
            }
            Kind::Flush => Vec::new(),
            Kind::Discard | Kind::WriteZeroes => {
                none(self.writable)?;
                ranges = self::ranges(kind, self.readable, memory, config)?;
                Vec::new()
            }
            Kind::Unsupported(_) => return Err(Status::Unsupported),
        };
        // The iterator over chains has checked that all of them add up to less than 4 GiB.
        let data_len = segments.iter().map(|segment| segment.len).sum();
        let sector = match kind {
            Kind::In | Kind::Out => sector,
            _ => 0,
        };
        let request = Request { head, kind, sector, segments, ranges, status_address, data_len };
        config.permits(&request)?;
        Ok(request)
    }
}

/// The ranges that a discard or write zeroes lists (section 5.2.6).
fn ranges<M: GuestMemory>(
    kind: Kind,
    mut data: Vec<Segment>,
    memory: &M,
    config: &BlkConfig,
) -> Result<Vec<ZeroedRange>, Status> {
    let mut ranges = Vec::new();
    while !data.is_empty() {
        if ranges.len() == config.most_ranges() {
            return Err(Status::IoError);
        }
        let record = take_record(&mut data, memory).ok_or(Status::IoError)?;
        let flags = record.number(12);
        let unmap = flags & UNMAP != 0;
        // Section 5.2.6.2: unknown flags, and unmap for a discard, are not supported.
        if flags & !UNMAP != 0 || unmap && kind == Kind::Discard {
            return Err(Status::Unsupported);
        }
        ranges.push(ZeroedRange { sector: record.number_64(0), sectors: record.number(8), unmap });
    }
    Ok(ranges)
}

/// The first `len` bytes of `segments`, or all where there are fewer.
fn first_bytes(mut segments: Vec<Segment>, len: u32) -> Vec<Segment> {
    let mut left = len;
    for segment in &mut segments {
        segment.len = segment.len.min(left);
        left -= segment.len;
    }
    segments.retain(|segment| segment.len > 0);
    segments
}

/// Sixteen bytes of little-endian numbers.
struct Record([u8; RECORD]);

impl Record {
    fn number(&self, at: usize) -> u32 {
        self.number_64(at & !7).wrapping_shr(8 * (at as u32 & 7)) as u32
    }

    fn number_64(&self, at: usize) -> u64 {
        let all = u128::from_le_bytes(self.0);
        (all >> (8 * at)) as u64
    }
}

/// Takes the first sixteen bytes off `segments`, which lie in memory. `None` when there are fewer.
fn take_record<M: GuestMemory>(segments: &mut Vec<Segment>, memory: &M) -> Option<Record> {
    let mut record = Record([0; RECORD]);
    let (mut filled, mut used_up) = (0, 0);
    for segment in segments.iter_mut() {
        let len = (segment.len as usize).min(RECORD - filled);
        let part = record.0.get_mut(filled..filled + len)?;
        memory.read_slice(part, GuestAddress(segment.address)).ok()?;
        filled += len;
        segment.address += len as u64;
        segment.len -= len as u32;
        if segment.len > 0 {
            break;
        }
        used_up += 1;
        if filled == RECORD {
            break;
        }
    }
    segments.drain(..used_up);
    (filled == RECORD).then_some(record)
}

/// Whether `count` sectors from `sector` on lie on a disk of `capacity` sectors.
pub(super) fn on_disk(sector: u64, count: u64, capacity: u64) -> bool {
    sector.checked_add(count).is_some_and(|end| end <= capacity)
}

/// Whether a length in bytes is one of whole sectors, and of at least one.
pub(super) fn whole_sectors(len: u32) -> bool {
    len > 0 && u64::from(len).is_multiple_of(SECTOR)
}
