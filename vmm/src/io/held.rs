//! An engine that misbehaves on request, for tests and for slow disks.
//!
//! A transfer that is held or delayed has not begun: its bytes move when it is let go, however
//! long after its submission that is. From outside it is in flight all the while. That is the
//! harder case for whoever owns the memory: a device that is late.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use vmm_sys_util::poll::EpollContext;
use vmm_sys_util::timerfd::TimerFd;

use super::Engine;
use super::buffers::Buffers;
use super::transfer::{Completion, Kind, Refused, Transfer};

mod control;
#[cfg(test)]
mod tests;

pub use control::HeldControl;

use control::Order;

struct Waiting {
    transfer: Transfer,
    /// `None`: until told.
    begins: Option<Instant>,
}

/// An [`Engine`] around another; [`Held::control`] tells it what to do.
pub struct Held<E> {
    inner: E,
    control: HeldControl,
    /// Readable when the inner engine, the control or the timer are.
    any: EpollContext<u32>,
    timer: TimerFd,
    waiting: VecDeque<Waiting>,
    /// The whole memory of transfers that were shortened, by id.
    shortened: HashMap<u64, Buffers>,
    failed: Vec<Completion>,
}

impl<E: Engine> Held<E> {
    /// Passes everything on to `inner`, until told otherwise.
    ///
    /// # Errors
    /// When the kernel gives no timer, event counter or epoll instance.
    pub fn new(inner: E) -> io::Result<Self> {
        let control = HeldControl::new()?;
        let timer = TimerFd::new()?;
        let any = EpollContext::new()?;
        any.add(&Fd(inner.event_fd()), 0)?;
        any.add(&Fd(control.told()), 1)?;
        any.add(&timer, 2)?;
        let (waiting, shortened, failed) = Default::default();
        Ok(Self { inner, control, any, timer, waiting, shortened, failed })
    }

    /// What tells this engine what to do, from any thread.
    #[must_use]
    pub fn control(&self) -> HeldControl {
        self.control.clone()
    }

    /// Begins what was let go or is due, and sets the timer for the next.
    fn advance(&mut self) {
        self.control.hear();
        let now = Instant::now();
        for order in self.control.orders() {
            match order {
                Order::All => self.waiting.iter_mut().for_each(|it| it.begins = Some(now)),
                Order::Nth(n) => {
                    let mut held = self.waiting.iter_mut().filter(|it| it.begins.is_none());
                    if let Some(chosen) = held.nth(n) {
                        chosen.begins = Some(now);
                    }
                }
            }
        }
        let mut place = 0;
        while place < self.waiting.len() {
            if self.waiting[place].begins.is_none_or(|begins| begins > now) {
                place += 1;
                continue;
            }
            let Some(Waiting { transfer, begins }) = self.waiting.remove(place) else { break };
            if let Err(refused) = self.begin(transfer) {
                self.waiting.insert(place, Waiting { transfer: *refused.transfer, begins });
                break;
            }
        }
        // A kernel that takes nothing now is asked again at the next call.
        let _ = self.inner.flush();
        let next = self.waiting.iter().filter_map(|it| it.begins).min();
        let _ = match next {
            Some(next) => {
                let wait = next.saturating_duration_since(now).max(Duration::from_micros(100));
                self.timer.reset(wait, None)
            }
            None => self.timer.clear(),
        };
    }

    fn begin(&mut self, mut transfer: Transfer) -> Result<(), Refused> {
        if let Some(error) = self.control.next_failure() {
            let Transfer { id, buffers, .. } = transfer;
            self.failed.push(Completion { id, result: Err(error), buffers });
            return Ok(());
        }
        let whole = transfer.buffers.clone();
        let moves = matches!(transfer.kind, Kind::Read | Kind::Write);
        if moves && let Some(len_bytes) = self.control.next_length() {
            transfer.buffers = whole.slice(0..len_bytes);
        }
        let id = transfer.id;
        let short = transfer.len_bytes() < whole.len_bytes();
        match self.inner.submit(transfer) {
            Ok(()) => {
                if short {
                    self.shortened.insert(id, whole);
                }
                Ok(())
            }
            Err(mut refused) => {
                refused.transfer.buffers = whole;
                Err(refused)
            }
        }
    }
}

impl<E: Engine> Engine for Held<E> {
    fn submit(&mut self, transfer: Transfer) -> Result<(), Refused> {
        match self.control.when() {
            Some(wait) if wait.is_zero() => self.begin(transfer),
            wait => {
                let begins = wait.map(|wait| Instant::now() + wait);
                self.waiting.push_back(Waiting { transfer, begins });
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.advance();
        if !self.failed.is_empty() {
            self.control.tell();
        }
        self.inner.flush()
    }

    fn completed(&mut self, into: &mut Vec<Completion>) {
        self.advance();
        let first = into.len();
        self.inner.completed(into);
        for completion in &mut into[first..] {
            if let Some(whole) = self.shortened.remove(&completion.id) {
                completion.buffers = whole;
            }
        }
        into.append(&mut self.failed);
    }

    fn event_fd(&self) -> RawFd {
        self.any.as_raw_fd()
    }

    fn in_flight(&mut self) -> usize {
        self.waiting.len() + self.inner.in_flight()
    }

    fn pending(&self) -> usize {
        self.waiting.len() + self.failed.len() + self.inner.pending()
    }
}

/// A descriptor that somebody else keeps open.
struct Fd(RawFd);

impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}
