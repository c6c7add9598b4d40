//! The backing as a whole, under threads that race with it.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use super::*;
use crate::gfn::PAGE_SIZE;
use crate::host::test_access::{WORDS, load, store};
use crate::host::{FaultKind, Resolved, mappings_in, pss_bytes};

const PAGES: u32 = 64;

fn trap() -> HostMemory {
    HostMemory::new(PAGES, MemoryOptions::default()).expect("trap")
}

fn shown(trap: &HostMemory, access: Access) -> (Store, Window) {
    let (frames, window) = (trap.new_store().expect("store"), trap.new_window().expect("window"));
    trap.map(&window, &frames, Run::new(0, PAGES), access).expect("map");
    (frames, window)
}

/// What the rules hold about the one page of `Pager`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Writable,
    Protected,
    Absent(SwapPlace),
}

/// An address space of one page that is written, protected and evicted over and over.
struct Pager {
    trap: Arc<HostMemory>,
    frames: Store,
    window: Window,
    state: Mutex<State>,
    evicted: Mutex<[u8; PAGE_SIZE]>,
    brought_back: AtomicU64,
    let_write: AtomicU64,
    slipped: AtomicU64,
}

impl Pager {
    const GFN: Gfn = Gfn(11);
    const RUN: Run = Run { first: Self::GFN, pages: 1 };

    fn new() -> Arc<Self> {
        let trap = Arc::new(trap());
        let (frames, window) = shown(&trap, Access::Writable);
        let (state, evicted) = (Mutex::new(State::Writable), Mutex::new([0; PAGE_SIZE]));
        let (brought_back, let_write, slipped) = Default::default();
        let pager = Arc::new(Self {
            trap,
            frames,
            window,
            state,
            evicted,
            brought_back,
            let_write,
            slipped,
        });
        let weak = Arc::downgrade(&pager);
        pager.trap.attach(&pager.window, weak);
        pager
    }

    fn bytes(&self) -> [u8; PAGE_SIZE] {
        let mut page = [0; PAGE_SIZE];
        self.frames.read(Self::GFN, &mut page).expect("pread");
        page
    }

    fn bring_back(&self, state: &mut State) {
        if let State::Absent(place) = *state {
            self.trap.read_in(place, &self.frames, Self::GFN).expect("read in");
            self.trap.make_present(&self.window, Self::RUN);
            self.trap.forget(place);
            *state = State::Protected;
            let slipped = *self.evicted.lock() != self.bytes();
            self.slipped.fetch_add(u64::from(slipped), Ordering::SeqCst);
            self.brought_back.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn protect(&self, state: &mut State) {
        if *state == State::Writable {
            self.trap.protect(&self.window, Self::RUN).expect("protect");
            *state = State::Protected;
        }
    }

    fn evict(&self, state: &mut State) {
        self.protect(state);
        if *state == State::Protected {
            self.trap.make_absent(&self.window, Self::RUN).expect("make absent");
            let place = self.trap.write_out(&self.frames, Self::GFN).expect("write out");
            *self.evicted.lock() = self.bytes();
            self.trap.punch(&self.frames, Self::RUN);
            *state = State::Absent(place);
        }
    }
}

impl Resolve for Pager {
    fn resolve(&self, gfn: Gfn, kind: FaultKind) -> Resolved {
        assert_eq!(gfn, Self::GFN);
        let state = &mut *self.state.lock();
        self.bring_back(state);
        if kind.absent {
            self.trap.make_present(&self.window, Self::RUN);
        } else {
            *state = State::Writable;
            self.trap.unprotect(&self.window, Self::RUN);
            self.let_write.fetch_add(1, Ordering::SeqCst);
        }
        Resolved::Done
    }
}

/// Readers and writers hammer a page that is evicted all the time. No reader sees anything but
/// what was written last (a torn or zero page would show), and no write gets past the
/// protection: while the state is not `Writable`, no byte changes.
#[test]
fn eviction_loses_and_tears_nothing_and_no_write_slips_through() {
    let pager = Pager::new();
    (0..WORDS).for_each(|word| store(&pager.window, Pager::GFN.0, word, 1));
    let stop = AtomicBool::new(false);
    thread_scope(&pager, &stop);
    let (back, writes) =
        (pager.brought_back.load(Ordering::SeqCst), pager.let_write.load(Ordering::SeqCst));
    println!("brought back {back} times, let writes through {writes} times");
    assert!(back > 100 && writes > 100, "{back} and {writes}");
    assert_eq!(pager.slipped.load(Ordering::SeqCst), 0, "writes while the page came back");
}

fn thread_scope(pager: &Pager, stop: &AtomicBool) {
    let running = || !stop.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        for writer in 0..2 {
            scope.spawn(move || {
                let mut value = 1;
                while running() {
                    // Each writer has every second word, and checks it before it goes on.
                    for word in (writer..WORDS).step_by(2).skip(value as usize % 7) {
                        let seen = load(&pager.window, Pager::GFN.0, word);
                        assert!(seen >= 1, "word {word} was lost");
                        store(&pager.window, Pager::GFN.0, word, seen + 1);
                        assert_eq!(load(&pager.window, Pager::GFN.0, word), seen + 1);
                    }
                    value += 1;
                }
            });
        }
        scope.spawn(move || {
            while running() {
                for word in 0..WORDS {
                    assert!(load(&pager.window, Pager::GFN.0, word) >= 1, "word {word} is zero");
                }
            }
        });
        for round in 0..2000 {
            let mut state = pager.state.lock();
            if round % 2 == 0 {
                pager.evict(&mut state);
                if round % 4 == 0 {
                    pager.bring_back(&mut state);
                }
            }
            pager.protect(&mut state);
            if *state == State::Protected {
                let before = pager.bytes();
                std::thread::sleep(Duration::from_micros(30));
                assert!(before == pager.bytes(), "a write slipped through in round {round}");
            }
            drop(state);
            std::thread::sleep(Duration::from_micros(200));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// A negative control: where pages come back through the mapping instead of whole, readers see
/// zeros. It shows that the test above would notice.
#[test]
fn filling_through_a_mapping_is_seen_by_readers() {
    let trap = trap();
    let (frames, window) = shown(&trap, Access::Absent);
    let mut wrong = 0_u64;
    for round in 0..200 {
        let run = Run::one(Gfn(round % PAGES));
        trap.make_absent(&window, run).expect("make absent");
        trap.punch(&frames, run);
        let filled = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| load(&window, run.first.0, WORDS - 1));
            std::thread::sleep(Duration::from_micros(100));
            let page = frames.slice(run);
            page.write_obj(1_u64, 0).expect("in range");
            trap.make_present(&window, run);
            trap.wake(&window, run);
            std::thread::sleep(Duration::from_micros(300));
            page.write_obj(1_u64, PAGE_SIZE - 8).expect("in range");
            filled.store(true, Ordering::SeqCst);
            wrong += u64::from(reader.join().expect("reader") == 0);
        });
    }
    assert!(wrong > 0, "a reader sees half a page at least once in 200 times");
}

#[test]
fn two_windows_share_frames_until_one_is_shown_a_copy() {
    let trap = trap();
    let (frames, parent) = shown(&trap, Access::Writable);
    store(&parent, 1, 0, 10);
    let child = trap.new_window().expect("window");
    trap.map(&child, &frames, Run::new(0, PAGES), Access::Protected).expect("map");
    assert_eq!(load(&child, 1, 0), 10);
    let copies = trap.new_store().expect("store");
    trap.copy(&frames, &copies, Run::one(Gfn(1))).expect("copy");
    trap.map(&child, &copies, Run::one(Gfn(1)), Access::Writable).expect("map");
    store(&child, 1, 0, 11);
    assert_eq!((load(&parent, 1, 0), load(&child, 1, 0)), (10, 11));
    assert_eq!(copies.resident_bytes().expect("fstat"), PAGE_SIZE as u64);
    let mappings = mappings_in(child.addresses()).expect("maps");
    assert_eq!(mappings.len(), 3);
    assert_eq!(mappings[1].inode, copies.inode().expect("fstat"));
    assert_eq!(mappings[1].offset, PAGE_SIZE as u64);
    assert_eq!(pss_bytes(child.addresses()).expect("smaps") % 1024, 0);
}

#[test]
fn the_vmms_view_is_the_guests_memory() {
    let trap = trap();
    let (frames, window) = shown(&trap, Access::Writable);
    let memory = window.guest_memory();
    memory.write_obj(0xFEED_u64, GuestAddress(4096 * 3 - 4)).expect("in range");
    assert_eq!(load(&window, 3, 0) as u32, 0);
    assert_eq!(frames.slice(Run::one(Gfn(2))).read_obj::<u32>(4092).expect("in range"), 0xFEED);
    let region = memory.iter().next().expect("one region");
    assert_eq!(region.len(), u64::from(PAGES) * PAGE_SIZE as u64);
    assert!(memory.write_obj(0_u8, GuestAddress(region.len())).is_err());
    assert!(memory.get_slice(GuestAddress(region.len() - 1), 2).is_err());
    let host = memory.get_host_address(GuestAddress(4096)).expect("in range");
    assert_eq!(host, window.address(Gfn(1)));
}

#[test]
fn injected_failures_come_once_and_do_nothing() {
    let failures = Arc::new(FailureInjector::default());
    let options = MemoryOptions { failures: Some(Arc::clone(&failures)), ..Default::default() };
    let trap = HostMemory::new(PAGES, options).expect("trap");
    let (frames, window) = shown(&trap, Access::Writable);
    store(&window, 0, 0, 1);
    failures.fail_at(2);
    trap.protect(&window, Run::one(Gfn(1))).expect("the first call");
    let error = trap.protect(&window, Run::one(Gfn(0))).expect_err("the second");
    assert!(error.to_string().contains("gfn 0x0..0x1"), "{error}");
    assert!(failures.has_failed());
    store(&window, 0, 0, 2);
    failures.fail_at(1);
    assert!(!trap.reserve_mappings(1));
    assert!(trap.reserve_mappings(1));
    trap.return_mappings(1);
    failures.fail_at(0);
    trap.write_out(&frames, Gfn(0)).expect("disarmed");
    assert_eq!((trap.swapped_frames(), failures.calls()), (1, 1));
}

#[test]
fn the_budget_may_be_lowered() {
    let options = MemoryOptions { mapping_limit: Some(5), ..Default::default() };
    let trap = HostMemory::new(PAGES, options).expect("trap");
    assert!(trap.reserve_mappings(5) && !trap.reserve_mappings(1));
    trap.return_mappings(2);
    assert_eq!(trap.free_mappings(), 2);
}

#[test]
fn empty_runs_are_nothing() {
    let trap = trap();
    let (frames, window) = shown(&trap, Access::Writable);
    for first in [0, PAGES] {
        let run = Run::new(first, first);
        trap.map(&window, &frames, run, Access::Protected).expect("map");
        trap.protect(&window, run).expect("protect");
        trap.make_absent(&window, run).expect("make absent");
        trap.make_present(&window, run);
        trap.unprotect(&window, run);
        trap.wake(&window, run);
        trap.punch(&frames, run);
    }
    store(&window, PAGES - 1, 0, 1);
}

/// Counted in a process of its own, since other tests open files and map memory meanwhile.
#[test]
fn nothing_is_left_behind() {
    if std::env::var_os("PINCOW_ALONE").is_none() {
        let name = "host::trap::tests::nothing_is_left_behind";
        let me = std::env::current_exe().expect("test binary");
        let output = std::process::Command::new(me)
            .args([name, "--exact", "--test-threads=1"])
            .env("PINCOW_ALONE", "1")
            .output()
            .expect("run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let once = || {
        let pager = Pager::new();
        store(&pager.window, Pager::GFN.0, 0, 1);
        pager.evict(&mut pager.state.lock());
        assert_eq!(load(&pager.window, Pager::GFN.0, 0), 1);
        let memory = pager.window.guest_memory();
        drop(pager);
        drop(memory);
    };
    let count = |path| fs::read_dir(path).expect("proc").count();
    let layers = || {
        fs::read_to_string("/proc/self/maps").expect("maps").matches("memfd:pincow-layer").count()
    };
    let before = (count("/proc/self/fd"), count("/proc/self/task"), layers());
    (0..50).for_each(|_| once());
    // A handler that the fault thread still holds for a moment ends the backing on that thread.
    let mut after = before;
    for _ in 0..200 {
        after = (count("/proc/self/fd"), count("/proc/self/task"), layers());
        if after == before {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(after, before, "file descriptors, threads, mappings of layers");
    assert_eq!(after.2, 0);
}
