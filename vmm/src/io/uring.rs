//! The engine over io_uring.
//!
//! # What the kernel owns
//!
//! From the moment an entry is in the submission queue until its completion is read, its
//! [`Slot`] lives: the `iovec` array that the entry points at, the open file, and the buffers. A
//! submitted read writes to its buffers even after the ring's descriptor is closed, so the
//! ring must not be dropped while transfers are in flight: [`Drop`] cancels what can be cancelled and
//! waits for the rest, however long the disk takes. Should waiting itself fail, the slots are
//! leaked rather than freed.
//!
//! # Back-pressure
//!
//! At most as many transfers are pending as the submission queue has entries. The completion queue
//! has twice as many, so it never overflows.
//!
//! # Waking its owner
//!
//! The ring's own descriptor is readable while there are completions to read (`io_uring_poll`), so
//! that neither the kernel nor the owner has an event counter to write and read beside them.

#![expect(unsafe_code, reason = "io_uring is given addresses that the kernel reads and writes")]

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use io_uring::types::{CancelBuilder, Fd, FsyncFlags, Timespec};
use io_uring::{IoUring, opcode, squeue};
use thiserror::Error;

use super::Engine;
use super::buffers::Buffers;
use super::transfer::{Completion, Kind, Refused, Transfer};

#[cfg(test)]
mod tests;

/// The most regions that one transfer may have: `IOV_MAX`.
pub const MOST_REGIONS: usize = 1024;

/// An engine that could not be made.
#[derive(Debug, Error)]
#[error(
    "{operation} for {entries} transfers: {source}: io_uring may be switched off \
     (/proc/sys/kernel/io_uring_disabled), or locked memory be limited (ulimit -l)"
)]
pub struct UringError {
    /// The system call.
    pub operation: &'static str,
    /// The queue length asked for.
    pub entries: u32,
    /// What the kernel said.
    pub source: io::Error,
}

/// Everything that one entry points at.
struct Slot {
    id: u64,
    /// Read by the kernel when it takes the entry, and by some file systems later.
    _vectors: Box<[libc::iovec]>,
    _file: Arc<File>,
    buffers: Buffers,
}

// SAFETY: the addresses in `_vectors` are those of `buffers`, which may be sent.
unsafe impl Send for Slot {}

/// An [`Engine`] over an io_uring instance of its own.
pub struct Uring {
    ring: IoUring,
    slots: Vec<Option<Slot>>,
    free: VecDeque<usize>,
}

impl Uring {
    /// An engine for up to `entries` transfers at a time, rounded up to a power of two.
    ///
    /// # Errors
    /// [`UringError`] when the kernel refuses.
    pub fn new(entries: u32) -> Result<Self, UringError> {
        let ring = IoUring::builder()
            .dontfork()
            .setup_clamp()
            .build(entries)
            .map_err(|source| UringError { operation: "io_uring_setup", entries, source })?;
        let room = ring.params().sq_entries() as usize;
        let slots = (0..room).map(|_| None).collect();
        Ok(Self { ring, slots, free: (0..room).collect() })
    }

    /// Entries that the kernel has not taken yet.
    fn queued(&mut self) -> usize {
        let mut queue = self.ring.submission();
        queue.sync();
        queue.len()
    }

    /// Cancels what can be cancelled and waits for every completion. `false` when the kernel would
    /// not tell.
    fn settle(&mut self) -> bool {
        // What is in the submission queue goes first: an entry that is left there would keep its
        // slot for ever. A ring that is full of completions takes no more until they are read.
        let mut left = Vec::new();
        let at_once = Timespec::new();
        while self.pending() > 0 {
            let _ = self.ring.submitter().register_sync_cancel(Some(at_once), CancelBuilder::any());
            match self.ring.submit_and_wait(1) {
                Ok(_) => {}
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR | libc::EAGAIN | libc::EBUSY) => {}
                    _ => return false,
                },
            }
            self.completed(&mut left);
            left.clear();
        }
        true
    }
}

impl Engine for Uring {
    fn submit(&mut self, transfer: Transfer) -> Result<(), Refused> {
        let refuse = |transfer, reason| Err(Refused { transfer: Box::new(transfer), reason });
        if transfer.buffers.regions().len() > MOST_REGIONS {
            return refuse(transfer, io::ErrorKind::InvalidInput.into());
        }
        let Some(place) = self.free.pop_front() else {
            return refuse(transfer, io::ErrorKind::WouldBlock.into());
        };
        let vectors: Box<[libc::iovec]> = transfer
            .buffers
            .regions()
            .iter()
            .map(|region| libc::iovec {
                iov_base: region.address.cast(),
                iov_len: region.len_bytes,
            })
            .collect();
        let entry = entry(&transfer, &vectors).user_data(place as u64);
        // SAFETY: what the entry points at, the vectors, the file and the buffers, goes into a slot
        // that is emptied only when the entry's completion has been read (`completed`), and leaked
        // if that cannot be waited for (`drop`).
        let pushed = unsafe { self.ring.submission().push(&entry) };
        if pushed.is_err() {
            // There are as many slots as entries, but entries that the kernel has not taken, because
            // `flush` failed, can still fill the queue.
            self.free.push_front(place);
            return refuse(transfer, io::ErrorKind::WouldBlock.into());
        }
        let Transfer { id, file, buffers, .. } = transfer;
        self.slots[place] = Some(Slot { id, _vectors: vectors, _file: file, buffers });
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        loop {
            let before = self.queued();
            if before == 0 {
                return Ok(());
            }
            match self.ring.submit() {
                Ok(_) if self.queued() < before => {}
                Ok(_) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn completed(&mut self, into: &mut Vec<Completion>) {
        for entry in self.ring.completion() {
            let place = entry.user_data() as usize;
            let Some(slot) = self.slots.get_mut(place).and_then(Option::take) else { continue };
            self.free.push_back(place);
            let result = match usize::try_from(entry.result()) {
                Ok(moved) => Ok(moved),
                Err(_) => Err(io::Error::from_raw_os_error(-entry.result())),
            };
            into.push(Completion { id: slot.id, result, buffers: slot.buffers });
        }
    }

    fn event_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }

    fn in_flight(&mut self) -> usize {
        let queued = self.queued();
        let mut completions = self.ring.completion();
        completions.sync();
        let posted = completions.len();
        drop(completions);
        self.pending().saturating_sub(queued + posted)
    }

    fn pending(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        if !self.settle() {
            mem::forget(mem::take(&mut self.slots));
        }
    }
}

/// The submission queue entry of a transfer whose memory `vectors` describe.
fn entry(transfer: &Transfer, vectors: &[libc::iovec]) -> squeue::Entry {
    let Transfer { offset, kind, .. } = *transfer;
    let file = Fd(transfer.file.as_raw_fd());
    let (first, count) = (vectors.as_ptr(), vectors.len() as u32);
    let punch =
        |len_bytes, mode| opcode::Fallocate::new(file, len_bytes).offset(offset).mode(mode).build();
    match kind {
        Kind::Read => opcode::Readv::new(file, first, count).offset(offset).build(),
        Kind::Write => opcode::Writev::new(file, first, count).offset(offset).build(),
        Kind::Sync => opcode::Fsync::new(file).flags(FsyncFlags::DATASYNC).build(),
        Kind::PunchHole { len_bytes } => {
            punch(len_bytes, libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE)
        }
        Kind::ZeroRange { len_bytes } => {
            punch(len_bytes, libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE)
        }
    }
}
