//! A disk that forks, as a virtio-blk worker sees it.

use std::io;
use std::sync::Arc;

use crate::disk::{
    Disk, DiskError, Extent, Flush, FlushProgress, FlushStep, Place, ReadPlan, SECTOR_BYTES, Ticket,
};
use crate::io::Kind;
use crate::virtio::blk::{DiskPort, Operation, Piece, Plan, PortError, Progress, ZeroedRange};

/// What transfers of files opened with `O_DIRECT` are aligned to, in bytes: the logical block size of
/// most devices (open(2)).
const DIRECT_ALIGNMENT: usize = 512;

/// A disk, and how its files were opened.
pub(super) struct ForkingDisk {
    disk: Arc<Disk>,
    direct: bool,
}

impl ForkingDisk {
    pub(super) fn new(disk: Arc<Disk>, direct: bool) -> Self {
        Self { disk, direct }
    }
}

/// An operation under way. What it names stays where it is until the kernel is done with it.
pub(super) enum Begun {
    /// A read. It is held for what it names.
    Read { _plan: ReadPlan },
    /// Changes, each of neighbouring sectors.
    Change(Vec<Ticket>),
    /// A flush.
    Flush(Flush),
}

fn failed(error: DiskError) -> PortError {
    PortError::Failed(io::Error::other(error))
}

fn bytes(sectors: u64) -> usize {
    usize::try_from(sectors * SECTOR_BYTES).unwrap_or(usize::MAX)
}

/// The pieces of a read or write.
fn data(extents: &[Extent]) -> Result<Vec<Piece>, PortError> {
    let piece = |extent: &Extent| {
        let len_bytes = bytes(extent.sectors);
        match &extent.place {
            Place::File { file, offset } => {
                Ok(Piece::Data { file: file.clone(), offset: *offset, len_bytes })
            }
            Place::Zeroes => Ok(Piece::Zeros { len_bytes }),
            Place::Unreadable => Err(PortError::Failed(io::Error::other(
                "a write that was in flight when the guest was forked has not ended yet",
            ))),
        }
    };
    extents.iter().map(piece).collect()
}

/// The pieces of a flush's next step.
fn next_step(flush: Flush) -> Plan<Begun> {
    let sync = |file| Piece::Other { file, offset: 0, kind: Kind::Sync };
    let pieces = match flush.step() {
        FlushStep::Sync(files) => files.into_iter().map(sync).collect(),
        FlushStep::Write { file, offset, bytes } => vec![Piece::Own { file, offset, bytes }],
    };
    Plan { pieces, ticket: Begun::Flush(flush) }
}

impl ForkingDisk {
    /// Begins the same change of several ranges.
    fn change(
        &self,
        ranges: &[ZeroedRange],
        begin: impl Fn(&Disk, u64, u64) -> Result<Ticket, DiskError>,
        kind: impl Fn(u64) -> Kind,
    ) -> Result<Plan<Begun>, PortError> {
        let begun = |range: &ZeroedRange| begin(&self.disk, range.sector, range.sectors.into());
        let tickets: Vec<Ticket> =
            ranges.iter().map(begun).collect::<Result<_, _>>().map_err(failed)?;
        let piece = |extent: &Extent| match &extent.place {
            Place::File { file, offset } => Some(Piece::Other {
                file: file.clone(),
                offset: *offset,
                kind: kind(extent.sectors * SECTOR_BYTES),
            }),
            Place::Zeroes | Place::Unreadable => None,
        };
        let extents = tickets.iter().flat_map(|ticket| ticket.extents());
        Ok(Plan { pieces: extents.filter_map(piece).collect(), ticket: Begun::Change(tickets) })
    }
}

impl DiskPort for ForkingDisk {
    type Ticket = Begun;

    fn memory_alignment(&self) -> usize {
        if self.direct { DIRECT_ALIGNMENT } else { 1 }
    }

    fn begin(&mut self, operation: Operation<'_>) -> Result<Plan<Begun>, PortError> {
        match operation {
            Operation::Read { sector, sectors } => {
                let plan = self.disk.read_plan(sector, sectors).map_err(failed)?;
                Ok(Plan { pieces: data(plan.extents())?, ticket: Begun::Read { _plan: plan } })
            }
            Operation::Write { sector, sectors } => {
                let ticket = self.disk.begin_write(sector, sectors).map_err(failed)?;
                Ok(Plan { pieces: data(ticket.extents())?, ticket: Begun::Change(vec![ticket]) })
            }
            Operation::Flush => Ok(next_step(self.disk.begin_flush().map_err(failed)?)),
            Operation::Discard(ranges) => {
                self.change(ranges, Disk::begin_discard, |len_bytes| Kind::PunchHole { len_bytes })
            }
            Operation::WriteZeroes(ranges) => {
                self.change(ranges, Disk::begin_write_zeroes, |len_bytes| Kind::ZeroRange {
                    len_bytes,
                })
            }
        }
    }

    fn end(&mut self, ticket: Begun, done: bool) -> io::Result<Progress<Begun>> {
        match (ticket, done) {
            (Begun::Read { .. }, _) => {}
            (Begun::Change(tickets), true) => tickets.into_iter().for_each(Ticket::complete),
            (Begun::Change(tickets), false) => tickets.into_iter().for_each(Ticket::fail),
            (Begun::Flush(flush), false) => flush.fail(),
            (Begun::Flush(flush), true) => match flush.done().map_err(io::Error::other)? {
                FlushProgress::Durable => {}
                FlushProgress::More(flush) => return Ok(Progress::More(next_step(flush))),
                FlushProgress::Busy(flush) => return Ok(Progress::Busy(Begun::Flush(flush))),
            },
        }
        Ok(Progress::Over)
    }

    fn abandon(&mut self, operation: Operation<'_>) {
        let settle = |sector: u64, sectors: u64| {
            if let Err(error) = self.disk.settle(sector, sectors) {
                eprintln!("pincow: sectors {sector:#x}+{sectors:#x} stay unreadable: {error}");
            }
        };
        match operation {
            Operation::Write { sector, sectors } => settle(sector, sectors),
            Operation::Discard(ranges) | Operation::WriteZeroes(ranges) => {
                ranges.iter().for_each(|range| settle(range.sector, range.sectors.into()));
            }
            Operation::Read { .. } | Operation::Flush => {}
        }
    }
}
