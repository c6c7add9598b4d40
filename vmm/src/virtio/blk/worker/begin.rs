//! From a job to transfers.

use std::io;

use vm_memory::{Bytes, GuestAddress, GuestMemory};

use super::{BlkWorker, Part, Running};
use crate::io::{Buffers, Engine, Kind as Action, MOST_REGIONS, Transfer};
use crate::virtio::blk::bounce::Bounce;
use crate::virtio::blk::ports::{DiskPort, Operation, Piece, Pinner, Plan, PortError};
use crate::virtio::blk::request::{Direction, Kind, Request, Status};
use crate::virtio::chain::Segment;

/// Bytes in bounce buffers from which on requests wait for others to end.
const BOUNCED_MAX: usize = 64 << 20;

/// Bytes that are copied at a time.
const COPY_LEN: usize = 4096;

/// How beginning a request went.
enum Begun {
    /// Transfers are on their way.
    Running,
    /// It is done already.
    Ended(Status),
    /// Nothing has happened.
    Busy,
}

/// Where a request's data is.
struct Place {
    buffers: Buffers,
    bounce: Option<Bounce>,
}

impl<M, P, D, E> BlkWorker<M, P, D, E>
where
    M: GuestMemory,
    P: Pinner,
    D: DiskPort,
    E: Engine,
{
    /// Tries again what was busy.
    pub(super) fn begin_waiting(&mut self) {
        for order in std::mem::take(&mut self.stalled) {
            self.job_ended(order);
        }
        for order in std::mem::take(&mut self.waiting) {
            self.begin_or_wait(order);
        }
    }

    pub(super) fn begin_or_wait(&mut self, order: u64) {
        if !self.may_answer(order) {
            self.waiting.push_back(order);
            return;
        }
        match self.begin(order) {
            Ok(Begun::Running) => {}
            Ok(Begun::Ended(status)) => self.finish(order, status),
            Ok(Begun::Busy) | Err(PortError::Busy) => self.waiting.push_back(order),
            Err(PortError::Failed(_)) => self.finish(order, Status::IoError),
        }
    }

    fn begin(&mut self, order: u64) -> Result<Begun, PortError> {
        let Some(job) = self.jobs.get(&order) else { return Ok(Begun::Running) };
        if job.doomed {
            return Ok(Begun::Ended(Status::IoError));
        }
        let request = job.request.clone();
        let Some(operation) = Operation::of(&request) else {
            return Ok(Begun::Ended(self.answer_alone(&request)?));
        };
        let place = match request.kind {
            Kind::In | Kind::Out => match self.place(&request)? {
                Some(place) => place,
                None => return Ok(Begun::Busy),
            },
            _ => Place { buffers: Buffers::empty(), bounce: None },
        };
        let plan = self.ports.disk.begin(operation)?;
        self.run(order, &request, place, plan);
        Ok(Begun::Running)
    }

    /// Answers what needs no disk.
    fn answer_alone(&self, request: &Request) -> io::Result<Status> {
        if request.kind != Kind::GetId {
            return Ok(Status::Unsupported);
        }
        let id = self.config.id();
        self.fill(&request.segments, 0, request.data_len as usize, |offset, part| {
            for (byte, value) in part.iter_mut().zip(id.iter().skip(offset)) {
                *byte = *value;
            }
        })?;
        Ok(Status::Ok)
    }

    /// Pins a request's memory, or gives it a bounce buffer. `None` while others have too many.
    fn place(&mut self, request: &Request) -> Result<Option<Place>, PortError> {
        let alignment = self.ports.disk.memory_alignment() as u64;
        let aligned = request.segments.iter().all(|segment| {
            segment.address.is_multiple_of(alignment)
                && u64::from(segment.len).is_multiple_of(alignment)
        });
        if aligned {
            let direction = match request.kind {
                Kind::Out => Direction::ToDevice,
                _ => Direction::FromDevice,
            };
            let buffers = self.ports.pinner.pin(&request.segments, direction)?;
            if buffers.len_bytes() != request.data_len as usize {
                return Err(io::Error::from(io::ErrorKind::InvalidData).into());
            }
            return Ok(Some(Place { buffers, bounce: None }));
        }
        let len_bytes = request.data_len as usize;
        if self.bounced > 0 && self.bounced + len_bytes > BOUNCED_MAX {
            return Ok(None);
        }
        let bounce = Bounce::new(len_bytes)?;
        if request.kind == Kind::Out {
            self.read_guest(&request.segments, &bounce)?;
        }
        Ok(Some(Place { buffers: bounce.buffers(), bounce: Some(bounce) }))
    }

    /// Turns a plan into transfers. From here on the disk hears of its end, whatever happens.
    fn run(&mut self, order: u64, request: &Request, place: Place, plan: Plan<D::Ticket>) {
        let Place { buffers, bounce } = place;
        let Plan { pieces, ticket } = plan;
        let moving = match request.kind {
            Kind::Out => Action::Write,
            _ => Action::Read,
        };
        let mut done = 0;
        let mut failed = false;
        let mut transfers = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Zeros { len_bytes } => {
                    // A bounce buffer has zeros already.
                    if bounce.is_none() {
                        let zero = |_, part: &mut [u8]| part.fill(0);
                        failed |= self.fill(&request.segments, done, len_bytes, zero).is_err();
                    }
                    done += len_bytes;
                }
                Piece::Data { file, offset, len_bytes } => {
                    let mut offset = offset;
                    for part in buffers.slice(done..done + len_bytes).chunks(MOST_REGIONS) {
                        let len = part.len_bytes() as u64;
                        let file = file.clone();
                        let id = 0;
                        transfers.push(Transfer { id, file, offset, kind: moving, buffers: part });
                        offset += len;
                    }
                    done += len_bytes;
                }
                piece @ (Piece::Other { .. } | Piece::Own { .. }) => match of_the_disk(piece) {
                    Some(transfer) => transfers.push(transfer),
                    None => failed = true,
                },
            }
        }
        // A plan that does not cover the request is the disk's fault, and not carried out.
        failed |= done != buffers.len_bytes();
        if failed {
            transfers.clear();
        }
        if let Some(bounce) = &bounce {
            self.bounced += bounce.len_bytes();
            self.counts.bounced += 1;
        }
        self.launch(
            order,
            Running { left: 0, failed, unsupported: false, bounce, ticket },
            transfers,
        );
    }

    /// What an operation goes on with: pieces of the disk's own. Its guest's memory is left alone.
    pub(super) fn go_on(&mut self, order: u64, bounce: Option<Bounce>, plan: Plan<D::Ticket>) {
        let Plan { pieces, ticket } = plan;
        let transfers: Option<Vec<_>> = pieces.into_iter().map(of_the_disk).collect();
        let failed = transfers.is_none();
        let running = Running { left: 0, failed, unsupported: false, bounce, ticket };
        self.launch(order, running, transfers.unwrap_or_default());
    }

    fn launch(&mut self, order: u64, running: Running<D::Ticket>, transfers: Vec<Transfer>) {
        let left = transfers.len();
        let Some(job) = self.jobs.get_mut(&order) else { return };
        job.running = Some(Running { left, ..running });
        for mut transfer in transfers {
            transfer.id = self.next_transfer;
            self.next_transfer += 1;
            let Transfer { id, ref file, offset, kind, .. } = transfer;
            self.parts.insert(id, Part { order, file: file.clone(), offset, kind });
            self.unsent.push_back(transfer);
        }
        if left == 0 {
            self.job_ended(order);
        }
    }

    /// Writes `len` bytes to the guest, from the byte `from` of the segments on. `put` is given the
    /// place among those bytes and what to fill.
    pub(super) fn fill(
        &self,
        segments: &[Segment],
        from: usize,
        len: usize,
        mut put: impl FnMut(usize, &mut [u8]),
    ) -> io::Result<()> {
        let mut block = [0; COPY_LEN];
        self.walk(segments, from, len, |memory, address, offset, count| {
            let part = &mut block[..count];
            put(offset, part);
            memory.write_slice(part, address).map_err(io::Error::other)
        })
    }

    fn read_guest(&self, segments: &[Segment], bounce: &Bounce) -> io::Result<()> {
        let mut block = [0; COPY_LEN];
        self.walk(segments, 0, bounce.len_bytes(), |memory, address, offset, count| {
            let part = &mut block[..count];
            memory.read_slice(part, address).map_err(io::Error::other)?;
            bounce.put(offset, part);
            Ok(())
        })
    }

    /// Visits `len` bytes of `segments` from the byte `from` on, in blocks: address, place among the
    /// bytes visited, and length of each.
    fn walk(
        &self,
        segments: &[Segment],
        from: usize,
        len: usize,
        mut visit: impl FnMut(&M, GuestAddress, usize, usize) -> io::Result<()>,
    ) -> io::Result<()> {
        let (mut skip, mut offset) = (from, 0);
        for segment in segments {
            let mut at = skip.min(segment.len as usize);
            skip -= at;
            while at < segment.len as usize && offset < len {
                let count = (segment.len as usize - at).min(len - offset).min(COPY_LEN);
                let address = GuestAddress(segment.address + at as u64);
                visit(&self.ports.memory, address, offset, count)?;
                at += count;
                offset += count;
            }
        }
        Ok(())
    }
}

/// The transfer of a piece that moves none of the guest's bytes. `None` for one that does, and where
/// there is no memory for it.
fn of_the_disk(piece: Piece) -> Option<Transfer> {
    match piece {
        Piece::Other { file, offset, kind } => {
            Some(Transfer { id: 0, file, offset, kind, buffers: Buffers::empty() })
        }
        Piece::Own { file, offset, bytes } => {
            let block = Bounce::new(bytes.len()).ok()?;
            block.put(0, &bytes);
            Some(Transfer { id: 0, file, offset, kind: Action::Write, buffers: block.buffers() })
        }
        Piece::Zeros { .. } | Piece::Data { .. } => None,
    }
}
