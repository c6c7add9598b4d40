//! What a [`Held`](super::Held) engine is told, by any thread.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

pub(super) enum Order {
    All,
    Nth(usize),
}

#[derive(Default)]
struct Wishes {
    hold: bool,
    delay: Duration,
    fail: Option<(usize, i32)>,
    shorten: Option<(usize, usize)>,
    orders: Vec<Order>,
}

struct Shared {
    wishes: Mutex<Wishes>,
    told: EventFd,
}

/// The levers of a [`Held`](super::Held) engine. Clones move the same ones.
#[derive(Clone)]
pub struct HeldControl(Arc<Shared>);

impl HeldControl {
    pub(super) fn new() -> io::Result<Self> {
        let told = EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?;
        Ok(Self(Arc::new(Shared { wishes: Mutex::default(), told })))
    }

    /// From now on, transfers do not begin before they are released.
    pub fn hold(&self) {
        self.0.wishes.lock().hold = true;
    }

    /// Begins everything that is held or delayed, and holds no more.
    pub fn release_all(&self) {
        let mut wishes = self.0.wishes.lock();
        wishes.hold = false;
        wishes.orders.push(Order::All);
        drop(wishes);
        self.tell();
    }

    /// Begins the transfer that is `nth` (from 0) among those held now, in order of submission, and
    /// goes on holding. Nothing happens where there are fewer.
    pub fn release(&self, nth: usize) {
        self.0.wishes.lock().orders.push(Order::Nth(nth));
        self.tell();
    }

    /// From now on, transfers begin this long after they were submitted: a slow disk.
    pub fn delay(&self, delay: Duration) {
        self.0.wishes.lock().delay = delay;
    }

    /// The next `count` transfers that would begin fail instead, with the error number `errno`.
    pub fn fail(&self, count: usize, errno: i32) {
        self.0.wishes.lock().fail = Some((count, errno));
    }

    /// The next `count` reads and writes that begin move `len_bytes` at most.
    pub fn shorten(&self, count: usize, len_bytes: usize) {
        self.0.wishes.lock().shorten = Some((count, len_bytes));
    }

    /// How long a transfer that is submitted now waits. `None`: until told.
    pub(super) fn when(&self) -> Option<Duration> {
        let wishes = self.0.wishes.lock();
        (!wishes.hold).then_some(wishes.delay)
    }

    pub(super) fn orders(&self) -> Vec<Order> {
        mem::take(&mut self.0.wishes.lock().orders)
    }

    pub(super) fn next_failure(&self) -> Option<io::Error> {
        take(&mut self.0.wishes.lock().fail).map(io::Error::from_raw_os_error)
    }

    pub(super) fn next_length(&self) -> Option<usize> {
        take(&mut self.0.wishes.lock().shorten)
    }

    pub(super) fn told(&self) -> RawFd {
        self.0.told.as_raw_fd()
    }

    pub(super) fn tell(&self) {
        // It fails only where the counter is full, and then it is readable anyway.
        let _ = self.0.told.write(1);
    }

    pub(super) fn hear(&self) {
        // It fails where the counter is 0 already.
        let _ = self.0.told.read();
    }
}

/// One of `(count, value)`.
fn take<T: Copy>(wish: &mut Option<(usize, T)>) -> Option<T> {
    let (count, value) = wish.as_mut()?;
    *count = count.checked_sub(1)?;
    Some(*value)
}
