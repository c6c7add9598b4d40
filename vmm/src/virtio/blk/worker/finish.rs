//! From completions to answers.

use std::mem;

use vm_memory::GuestMemory;

use super::{BlkWorker, Part, Running};
use crate::io::{Buffers, Completion, Engine, Kind as Action, Transfer};
use crate::virtio::blk::bounce::Bounce;
use crate::virtio::blk::ports::{DiskPort, Pinner, Progress};
use crate::virtio::blk::request::{Kind, Status};

impl<M, P, D, E> BlkWorker<M, P, D, E>
where
    M: GuestMemory,
    P: Pinner,
    D: DiskPort,
    E: Engine,
{
    /// Reads all completions. What they pin is let go one by one, each after what it means is
    /// done. `first` happens before, if there are any. Whether a request was answered.
    pub(super) fn read_completions(&mut self, first: impl FnOnce(&mut Self)) -> bool {
        let before = self.counts.answered;
        let mut completions = mem::take(&mut self.scratch);
        self.ports.engine.completed(&mut completions);
        if !completions.is_empty() {
            first(self);
        }
        for completion in completions.drain(..) {
            self.completed(completion);
        }
        self.scratch = completions;
        self.counts.answered > before
    }

    /// A reset is done when nothing is left of what was in flight.
    pub(super) fn end_reset(&mut self) {
        if self.resetting && self.jobs.is_empty() {
            self.resetting = false;
            self.signals.reset_done();
        }
    }

    fn completed(&mut self, completion: Completion) {
        let Completion { id, result, buffers } = completion;
        let goes_on = !self.resetting || self.is_flush(id);
        let Some(part) = self.parts.get_mut(&id) else { return };
        let wanted = buffers.len_bytes();
        match result {
            Ok(moved) if moved >= wanted => {
                self.counts.bytes += wanted as u64;
                self.part_ended(id, true);
            }
            Ok(moved) if moved > 0 && goes_on => {
                self.counts.bytes += moved as u64;
                self.counts.continued += 1;
                part.offset += moved as u64;
                let Part { ref file, offset, kind, .. } = *part;
                let (file, rest) = (file.clone(), buffers.slice(moved..wanted));
                self.unsent.push_back(Transfer { id, file, offset, kind, buffers: rest });
            }
            Err(error)
                if error.raw_os_error() == Some(libc::EOPNOTSUPP)
                    && matches!(part.kind, Action::ZeroRange { .. } | Action::PunchHole { .. }) =>
            {
                self.unsupported(id);
            }
            // An error; or the file ends where the disk says that there are sectors.
            Ok(_) | Err(_) => self.part_ended(id, false),
        }
        // The pins of this part end here.
        drop(buffers);
    }

    /// The file system does not know an operation. Where zeros cannot be had with their storage, they
    /// are had without; where neither, the driver is told, and writes zeros itself.
    fn unsupported(&mut self, id: u64) {
        let Some(part) = self.parts.get_mut(&id) else { return };
        if let (Action::ZeroRange { len_bytes }, false) = (part.kind, self.resetting) {
            part.kind = Action::PunchHole { len_bytes };
            let Part { ref file, offset, kind, .. } = *part;
            let (file, buffers) = (file.clone(), Buffers::empty());
            self.unsent.push_back(Transfer { id, file, offset, kind, buffers });
            return;
        }
        let job = self.jobs.get_mut(&part.order);
        if let Some(running) = job.and_then(|job| job.running.as_mut()) {
            running.unsupported = true;
        }
        self.part_ended(id, false);
    }

    /// One transfer of a request has ended, or was never sent.
    pub(super) fn part_ended(&mut self, id: u64, done: bool) {
        let Some(Part { order, .. }) = self.parts.remove(&id) else { return };
        let Some(running) = self.jobs.get_mut(&order).and_then(|job| job.running.as_mut()) else {
            return;
        };
        running.failed |= !done;
        running.left -= 1;
        if running.left == 0 {
            self.job_ended(order);
        }
    }

    /// All transfers of a request have ended, so far.
    pub(super) fn job_ended(&mut self, order: u64) {
        if !self.may_answer(order) {
            self.stalled.push_back(order);
            return;
        }
        let Some(job) = self.jobs.get_mut(&order) else { return };
        let Some(running) = job.running.take() else { return };
        let Running { failed, unsupported, bounce, ticket, .. } = running;
        let failure = if unsupported { Status::Unsupported } else { Status::IoError };
        match self.ports.disk.end(ticket, !failed) {
            Ok(Progress::Over) if !failed => self.job_over(order, bounce, Status::Ok),
            Ok(Progress::Over) | Err(_) => self.job_over(order, bounce, failure),
            Ok(Progress::More(plan)) => self.go_on(order, bounce, plan),
            Ok(Progress::Busy(ticket)) => {
                job.running = Some(Running { left: 0, failed, unsupported, bounce, ticket });
                self.stalled.push_back(order);
            }
        }
    }

    /// The disk is done with a request.
    fn job_over(&mut self, order: u64, bounce: Option<Bounce>, mut status: Status) {
        let Some(job) = self.jobs.get_mut(&order) else { return };
        let (kind, segments) = (job.request.kind, mem::take(&mut job.request.segments));
        if let Some(bounce) = bounce {
            let len = bounce.len_bytes();
            self.bounced -= len;
            if kind == Kind::In && status == Status::Ok && !self.resetting {
                let get = |offset, part: &mut [u8]| bounce.get(offset, part);
                if self.fill(&segments, 0, len, get).is_err() {
                    status = Status::IoError;
                }
            }
        }
        self.finish(order, status);
    }

    /// Answers a request and takes it out of the ledger. A reset has answered all of them.
    pub(super) fn finish(&mut self, order: u64, status: Status) {
        let Some(job) = self.jobs.remove(&order) else { return };
        if status != Status::Ok {
            self.abandon(&job);
        }
        if self.resetting {
            return;
        }
        let (queue, request) = (job.queue, job.request);
        self.heads.remove(&(queue, request.head));
        let used_len = request.used_len(status);
        self.answer(queue, request.head, status, request.status_address, used_len);
    }
}
