//! The worker: from requests to pages.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vm_memory::{GuestMemory, Permissions};

use super::reclaim::Reclaim;
use super::size::Size;
use crate::virtio::chain::{Layout, Segment, are_inside, gather, len_bytes};
use crate::virtio::device::Activation;
use crate::virtio::queue::{QueueError, SavedQueue};
use crate::virtio::queues::{Nonsense, Queues};
use crate::virtio::reactor::Next;
use crate::virtio::signals::Signals;

mod pages;

use pages::{Pages, runs_of, whole_pages};

/// How many queues there are.
pub(super) const QUEUES: usize = 3;
/// Pages for the balloon.
const INFLATE: usize = 0;
/// Pages that the driver takes back.
const DEFLATE: usize = 1;
/// Ranges that are free.
const REPORT: usize = 2;

/// Entries of each queue. Linux reports 32 ranges at once.
pub const QUEUE_SIZE: u16 = 64;

/// Pages that one step discards at most: 4 MiB. A fork waits for one step.
pub const MOST_PAGES: u32 = 1024;

/// A page's number in a request, in bytes (section 5.5.6: 4 KiB pages, 32 bits).
const NUMBER_LEN: usize = 4;

/// A worker's queues and size. Untrusted: see [`BalloonWorker::restore`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalloonState {
    /// The queues; empty before the driver is ready.
    pub queues: Vec<Option<SavedQueue>>,
    /// How large the balloon is.
    pub size: Size,
}

/// Counts since the worker was made. All but the first and the last are pages of 4 KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalloonCounts {
    /// Requests that were answered.
    pub requests: u64,
    /// Put into the balloon.
    pub inflated: u64,
    /// Taken back from it.
    pub deflated: u64,
    /// Reported as free.
    pub reported: u64,
    /// Whose memory was given up, of those that were inflated or reported.
    pub discarded: u64,
    /// That were left alone, because they were pinned or the host refused.
    pub kept: u64,
    /// Requests that made no sense, and other reasons for DEVICE_NEEDS_RESET.
    pub malformed: u64,
}

/// The worker of one device: `M` is guest memory, `R` takes it back.
pub struct BalloonWorker<M, R> {
    memory: M,
    reclaim: R,
    signals: Arc<Signals>,
    queues: Queues,
    size: Size,
    /// How many pages of each queue's next request are done.
    done: [u64; QUEUES],
    counts: BalloonCounts,
}

impl<M: GuestMemory, R: Reclaim> BalloonWorker<M, R> {
    /// The worker of a device whose driver is not ready yet, with a balloon that is to be empty.
    #[must_use]
    pub fn new(memory: M, reclaim: R, signals: Arc<Signals>) -> Self {
        let (queues, size, counts) = (Queues::default(), Size::default(), BalloonCounts::default());
        Self { memory, reclaim, signals, queues, size, done: [0; QUEUES], counts }
    }

    /// The worker that `state` describes. It touches guest memory at its first [step](Self::step),
    /// when it also interrupts: interrupts do not survive a copy.
    ///
    /// # Errors
    /// [`QueueError`] when `state` does not fit the device or the memory.
    pub fn restore(
        memory: M,
        reclaim: R,
        signals: Arc<Signals>,
        state: &BalloonState,
    ) -> Result<Self, QueueError> {
        let queues = Queues::restore(&state.queues, QUEUES, QUEUE_SIZE, &memory)?;
        Ok(Self { queues, size: state.size, ..Self::new(memory, reclaim, signals) })
    }

    /// What a copy of the guest needs to go on.
    #[must_use]
    pub fn save(&self) -> BalloonState {
        BalloonState { queues: self.queues.save(), size: self.size }
    }

    /// Takes the queues of a driver that is ready.
    pub fn activate(&mut self, activation: Activation) {
        self.queues = Queues::new(activation.queues);
        self.done = [0; QUEUES];
    }

    /// Forgets the queues, and that the balloon held anything: the driver that comes next has all pages.
    pub fn reset(&mut self) {
        self.queues = Queues::default();
        (self.done, self.size.actual) = ([0; QUEUES], 0);
    }

    /// How large the balloon is to be, in pages, from now on. The driver is told.
    pub fn set_target(&mut self, pages: u32) {
        if std::mem::replace(&mut self.size.target, pages) != pages {
            self.signals.config_changed();
        }
    }

    /// How large it is.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }

    /// What was done so far.
    #[must_use]
    pub fn counts(&self) -> BalloonCounts {
        self.counts
    }

    pub(super) fn write_size(&mut self, offset: u64, data: &[u8]) -> bool {
        self.size.write(offset, data)
    }

    pub(super) fn memory(&self) -> &M {
        &self.memory
    }

    /// Serves requests, [`MOST_PAGES`] and as many as a queue has entries at most, and tells the
    /// driver.
    pub fn step(&mut self) -> Next {
        let (mut left, mut next) = (MOST_PAGES, Next::Idle);
        for queue in [DEFLATE, INFLATE, REPORT] {
            for _ in 0..QUEUE_SIZE {
                if !self.signals.is_live() {
                    break;
                }
                match self.serve(queue, &mut left) {
                    Ok(false) => break,
                    Ok(true) if left > 0 => next = Next::Now,
                    Ok(true) => {
                        next = Next::Now;
                        break;
                    }
                    Err(Nonsense) => {
                        self.counts.malformed += 1;
                        self.done = [0; QUEUES];
                        self.signals.broken();
                    }
                }
            }
        }
        self.queues.tell_driver(&self.memory, &self.signals);
        if self.signals.is_live() { next } else { Next::Idle }
    }

    /// Serves the next request of a queue, or as much of it as `left` pages are. Whether there was one.
    fn serve(&mut self, queue: usize, left: &mut u32) -> Result<bool, Nonsense> {
        let Some(chain) = self.queues.take(queue, &self.memory)? else { return Ok(false) };
        let head = chain.head_index();
        let Layout { readable, writable, .. } = Layout::of(chain).map_err(|_| Nonsense)?;
        let (total, piece) = match queue {
            REPORT if readable.is_empty() => self.reported(&writable, *left)?,
            INFLATE | DEFLATE if writable.is_empty() => self.named(queue, &readable, *left)?,
            _ => return Err(Nonsense),
        };
        let pages = u64::from(Pages::sum(&piece));
        if queue != DEFLATE {
            for Pages { first, pages } in piece {
                let discarded = self.reclaim.reclaim(first, pages).min(pages);
                self.counts.discarded += u64::from(discarded);
                self.counts.kept += u64::from(pages - discarded);
            }
        }
        *left -= pages as u32;
        match queue {
            INFLATE => self.counts.inflated += pages,
            DEFLATE => self.counts.deflated += pages,
            _ => self.counts.reported += pages,
        }
        self.done[queue] += pages;
        if self.done[queue] < total {
            self.queues.put_back(queue);
            return Ok(true);
        }
        self.done[queue] = 0;
        self.queues.answer(queue, &self.memory, head, 0)?;
        self.counts.requests += 1;
        Ok(true)
    }

    /// How many pages a report has, and those of them that are next.
    fn reported(&self, ranges: &[Segment], most: u32) -> Result<(u64, Vec<Pages>), Nonsense> {
        if ranges.is_empty() || !are_inside(ranges, &self.memory, Permissions::Write) {
            return Err(Nonsense);
        }
        let whole: Vec<Pages> = ranges.iter().filter_map(whole_pages).collect();
        let total = whole.iter().map(|run| u64::from(run.pages)).sum();
        Ok((total, Pages::part(&whole, self.done[REPORT], most)))
    }

    /// How many pages a request names, and those of them that are next.
    fn named(
        &self,
        queue: usize,
        numbers: &[Segment],
        most: u32,
    ) -> Result<(u64, Vec<Pages>), Nonsense> {
        let len = len_bytes(numbers);
        if len == 0 || !len.is_multiple_of(NUMBER_LEN) {
            return Err(Nonsense);
        }
        let total = len / NUMBER_LEN;
        let done = (self.done[queue] as usize).min(total);
        let count = (total - done).min(most as usize);
        let mut bytes = vec![0; count * NUMBER_LEN];
        let rest = pages::skip(numbers, done * NUMBER_LEN);
        let read = gather(&rest, &self.memory, &mut bytes).ok_or(Nonsense)?;
        if read != bytes.len() {
            return Err(Nonsense);
        }
        let piece = runs_of(&bytes);
        let segments: Vec<Segment> = piece.iter().filter_map(Pages::segment).collect();
        let fit = segments.len() == piece.len();
        match fit && are_inside(&segments, &self.memory, Permissions::Write) {
            true => Ok((total as u64, piece)),
            false => Err(Nonsense),
        }
    }
}
