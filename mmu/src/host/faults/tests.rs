//! The fault thread, with handlers that answer as they are told.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::*;
use crate::backing::{Access, Backing};
use crate::gfn::Run;
use crate::host::test_access::{load, store};
use crate::host::{HostMemory, MemoryOptions, Store, Window};

const PAGES: u32 = 32;
const STARTS: usize = 1_500;
const RINGS: usize = 500;
const SOON: Duration = Duration::from_secs(10);

/// Lifts every protection, or defers while told to.
struct Handler {
    trap: Arc<HostMemory>,
    window: Window,
    store: Store,
    wait: AtomicBool,
    asked: AtomicUsize,
    seen: Mutex<Vec<(Gfn, FaultKind)>>,
}

impl Handler {
    fn new(access: Access) -> Arc<Self> {
        let trap = Arc::new(HostMemory::new(PAGES, MemoryOptions::default()).expect("trap"));
        let handler = Arc::new(Self::beside(trap, access));
        handler.attach();
        handler
    }

    fn beside(trap: Arc<HostMemory>, access: Access) -> Self {
        let (window, store) =
            (trap.new_window().expect("window"), trap.new_store().expect("store"));
        trap.map(&window, &store, Run::new(0, PAGES), access).expect("map");
        let (wait, asked, seen) = Default::default();
        Self { trap, window, store, wait, asked, seen }
    }

    fn attach(self: &Arc<Self>) {
        let weak = Arc::downgrade(self);
        self.trap.attach(&self.window, weak);
    }

    fn set_waiting(&self, waiting: bool) {
        self.wait.store(waiting, Ordering::SeqCst);
    }
}

impl Resolve for Handler {
    fn resolve(&self, gfn: Gfn, kind: FaultKind) -> Resolved {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.wait.load(Ordering::SeqCst) {
            return Resolved::Later;
        }
        self.seen.lock().push((gfn, kind));
        let run = Run::one(gfn);
        if kind.absent {
            self.trap.make_present(&self.window, run);
        } else {
            self.trap.unprotect(&self.window, run);
        }
        Resolved::Done
    }
}

#[test]
fn a_handler_gets_the_frame_and_the_kind_of_access() {
    let handler = Handler::new(Access::Protected);
    store(&handler.window, 5, 0, 1);
    store(&handler.window, 5, 0, 2);
    let write = FaultKind { write: true, absent: false };
    assert_eq!(*handler.seen.lock(), [(Gfn(5), write)]);
    handler.trap.make_absent(&handler.window, Run::one(Gfn(9))).expect("make absent");
    assert_eq!(load(&handler.window, 9, 0), 0);
    let read = FaultKind { write: false, absent: true };
    assert_eq!(handler.seen.lock()[1], (Gfn(9), read));
    store(&handler.window, 9, 0, 3);
    assert_eq!(handler.seen.lock()[2], (Gfn(9), write));
}

#[test]
fn many_threads_write_everywhere_and_all_go_on() {
    let handler = Handler::new(Access::Protected);
    thread::scope(|scope| {
        for writer in 0..8 {
            let window = &handler.window;
            scope.spawn(move || {
                (0..PAGES).for_each(|gfn| store(window, gfn, writer, writer as u64 + 1));
            });
        }
    });
    for gfn in 0..PAGES {
        (0..8).for_each(|w| assert_eq!(load(&handler.window, gfn, w), w as u64 + 1));
    }
    assert_eq!(handler.trap.deferred_count(), 0);
}

#[test]
fn deferred_faults_wait_until_a_retry_and_count_once_a_page() {
    let handler = Handler::new(Access::Protected);
    handler.set_waiting(true);
    thread::scope(|scope| {
        for writer in 0..3 {
            let window = &handler.window;
            scope.spawn(move || store(window, 7, writer, 9));
        }
        scope.spawn(|| store(&handler.window, 8, 0, 9));
        assert!(handler.trap.wait_deferred(2, SOON));
        assert!(!handler.trap.wait_deferred(3, Duration::from_millis(20)));
        handler.trap.retry_deferred();
        assert!(handler.trap.wait_deferred(2, SOON), "still told to wait");
        handler.set_waiting(false);
        handler.trap.pins_changed();
    });
    // Writers go on as soon as the handler lifts the protection, before the list is shorter.
    let deadline = Instant::now() + SOON;
    while handler.trap.deferred_count() > 0 {
        assert!(Instant::now() < deadline, "a resolved fault stays on the list");
        thread::yield_now();
    }
    assert_eq!(load(&handler.window, 7, 2), 9);
}

#[test]
fn a_retry_between_the_answer_and_the_list_is_not_lost() {
    let handler = Handler::new(Access::Protected);
    for round in 0..500 {
        let gfn = round % PAGES;
        handler.trap.protect(&handler.window, Run::one(Gfn(gfn))).expect("protect");
        handler.set_waiting(true);
        let before = handler.asked.load(Ordering::SeqCst);
        thread::scope(|scope| {
            scope.spawn(|| store(&handler.window, gfn, 0, 1));
            while handler.asked.load(Ordering::SeqCst) == before {
                std::hint::spin_loop();
            }
            handler.set_waiting(false);
            handler.trap.pins_changed();
        });
    }
}

#[test]
fn without_a_handler_a_fault_waits_for_one() {
    let trap = Arc::new(HostMemory::new(PAGES, MemoryOptions::default()).expect("trap"));
    let handler = Arc::new(Handler::beside(Arc::clone(&trap), Access::Protected));
    thread::scope(|scope| {
        scope.spawn(|| store(&handler.window, 0, 0, 1));
        assert!(trap.wait_deferred(1, SOON));
        handler.attach();
    });
    assert_eq!(load(&handler.window, 0, 0), 1);
}

#[test]
fn a_window_that_goes_takes_its_deferred_faults_along() {
    let handler = Handler::new(Access::Protected);
    let other = handler.trap.new_window().expect("window");
    let all = Run::new(0, PAGES);
    handler.trap.map(&other, &handler.store, all, Access::Writable).expect("map");
    handler.set_waiting(true);
    thread::scope(|scope| {
        scope.spawn(|| store(&handler.window, 3, 0, 1));
        assert!(handler.trap.wait_deferred(1, SOON));
        handler.trap.unmap_all(&other);
        drop(other);
        assert_eq!(handler.trap.deferred_count(), 1, "another window's");
        handler.set_waiting(false);
        handler.trap.retry_deferred();
    });
    let addresses = handler.window.addresses();
    handler.trap.unmap_all(&handler.window);
    let left = crate::host::mappings_in(addresses).expect("maps");
    assert!(left.iter().all(|mapping| mapping.permissions == "---p"), "{left:?}");
}

/// Owns the backing, and lets go of it within an answer.
struct LastOwner {
    trap: Mutex<Option<HostMemory>>,
    window: Window,
}

impl Resolve for LastOwner {
    fn resolve(&self, gfn: Gfn, _kind: FaultKind) -> Resolved {
        if let Some(trap) = self.trap.lock().take() {
            trap.unprotect(&self.window, Run::one(gfn));
        }
        Resolved::Done
    }
}

#[test]
fn the_last_owner_may_be_the_fault_thread_itself() {
    let trap = HostMemory::new(PAGES, MemoryOptions::default()).expect("trap");
    let (window, frames) = (trap.new_window().expect("window"), trap.new_store().expect("store"));
    trap.map(&window, &frames, Run::new(0, PAGES), Access::Protected).expect("map");
    let owner = Arc::new(LastOwner { trap: Mutex::new(None), window });
    let weak = Arc::downgrade(&owner);
    trap.attach(&owner.window, weak);
    *owner.trap.lock() = Some(trap);
    store(&owner.window, 1, 0, 4);
    assert_eq!(load(&owner.window, 1, 0), 4);
}

/// A bell that rings until then keeps the thread between its looks at the bell and at whether it is to stop.
#[test]
fn a_thread_that_is_stopped_while_the_bell_rings_ends() {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for start in 0..STARTS {
            let trap = HostMemory::new(PAGES, MemoryOptions::default()).expect("trap");
            (0..start % RINGS).for_each(|_| trap.retry_deferred());
            drop(trap);
            tell.send(()).expect("somebody listens");
        }
    });
    for start in 0..STARTS {
        assert_eq!(told.recv_timeout(SOON), Ok(()), "fault thread {start} does not end");
    }
}
