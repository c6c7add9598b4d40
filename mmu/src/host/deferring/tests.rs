use std::sync::Arc;

use parking_lot::Mutex;
use vm_memory::Bytes;

use super::*;
use crate::backing::{Access, Backing, HostCow};
use crate::gfn::Gfn;
use crate::host::test_access::{can_wait, load, store};
use crate::host::{BackingKind, MemoryOptions};
use crate::resolve::{FaultKind, Resolved};

const PAGES: u32 = 64;
const ALL: Run = Run { first: Gfn(0), pages: PAGES };

/// Answers faults of one window, in the simplest way, and remembers them.
struct Answers {
    memory: HostMemory,
    frames: Store,
    window: Window,
    seen: Mutex<Vec<(u32, FaultKind)>>,
}

impl Resolve for Answers {
    fn resolve(&self, gfn: Gfn, kind: FaultKind) -> Resolved {
        self.seen.lock().push((gfn.0, kind));
        let (frames, run) = (&self.frames, Run::one(gfn));
        if kind.absent {
            let full = self.memory.new_store().expect("store");
            full.slice(run).write_obj(u64::from(gfn.0) + 500, 0).expect("in range");
            insist("a test", || frames.copy_data(&full, run));
        } else {
            self.memory.release(&self.window, run);
        }
        Resolved::Done
    }
}

impl Answers {
    /// A window over frames of which the first half has its number in word 0, and the others are holes.
    fn new() -> Arc<Self> {
        let options = MemoryOptions { backing: BackingKind::HostCow, ..MemoryOptions::default() };
        let memory = HostMemory::new(PAGES, options).expect("private mappings");
        let frames = memory.new_store().expect("store");
        for gfn in 0..PAGES / 2 {
            frames.slice(Run::one(Gfn(gfn))).write_obj(u64::from(gfn), 0).expect("in range");
        }
        let window = memory.new_window().expect("window");
        memory.map(&window, &frames, ALL, Access::Protected).expect("mmap");
        Arc::new(Self { memory, frames, window, seen: Mutex::default() })
    }

    fn answer(self: &Arc<Self>) -> Weak<dyn Resolve> {
        Arc::downgrade(self) as Weak<dyn Resolve>
    }

    fn seen(&self) -> Vec<(u32, bool, bool)> {
        let seen = std::mem::take(&mut *self.seen.lock());
        seen.into_iter().map(|(gfn, kind)| (gfn, kind.write, kind.absent)).collect()
    }
}

/// Whether the kernel says that something of a window is registered or protected.
fn traps(window: &Window) -> bool {
    let smaps = std::fs::read_to_string("/proc/self/smaps").expect("procfs");
    let inside = |line: &str| {
        let (start, _) = line.split_once('-')?;
        let start = usize::from_str_radix(start, 16).ok()?;
        Some(window.addresses().contains(&start))
    };
    let (mut here, mut found) = (false, false);
    for line in smaps.lines() {
        here = inside(line).unwrap_or(here);
        found |=
            here && line.starts_with("VmFlags:") && [" um", " uw"].iter().any(|f| line.contains(f));
    }
    found
}

#[test]
fn a_write_to_any_kind_of_page_waits_until_it_is_released() {
    if !can_wait() {
        return;
    }
    let scene = Answers::new();
    let window = &scene.window;
    store(window, 1, 1, 7);
    assert_eq!(load(window, 2, 0), 2);
    scene.memory.clear(window, Run::one(Gfn(4))).expect("mmap");
    scene.memory.trap_writes(window, &[ALL], scene.answer()).expect("uffd");
    assert!(traps(window));
    // Copied, looked at, not there yet, zeros that are not there yet, and a hole.
    for gfn in [1, 2, 3, 4, PAGES - 1] {
        let before = load(window, gfn, 0);
        store(window, gfn, 1, 9);
        assert_eq!(scene.seen().last(), Some(&(gfn, true, false)));
        assert_eq!((load(window, gfn, 0), load(window, gfn, 1)), (before, 9));
        assert!(scene.memory.copied(window, Run::one(Gfn(gfn))).len() == 1, "its own");
    }
    assert_eq!(scene.frames.slice(Run::one(Gfn(2))).read_obj::<u64>(8).expect("in range"), 0);
    scene.memory.end(window);
    assert!(!traps(window));
    store(window, 10, 1, 9);
    assert_eq!((load(window, 10, 1), scene.seen()), (9, vec![]));
    let own: u32 = scene.memory.copied(window, ALL).iter().map(|run| run.pages).sum();
    assert_eq!(own, 6, "no marker is left that looks like a copy");
}

#[test]
fn an_access_to_a_hole_waits_until_it_is_filled() {
    if !can_wait() {
        return;
    }
    let scene = Answers::new();
    let (window, half) = (&scene.window, PAGES / 2);
    scene.memory.trap_holes(window, &[ALL], scene.answer()).expect("uffd");
    assert_eq!((load(window, 3, 0), scene.seen()), (3, vec![]));
    assert_eq!(load(window, half, 0), u64::from(half) + 500);
    store(window, half + 1, 1, 9);
    assert_eq!((load(window, half + 1, 0), load(window, half + 1, 1)), (u64::from(half) + 501, 9));
    assert_eq!(scene.seen(), [(half, false, true), (half + 1, true, true)]);
    scene.memory.end(window);
    assert!(!traps(window));
}

/// Nobody waits for ever when the traps end.
#[test]
fn the_end_of_the_traps_wakes_who_waits() {
    if !can_wait() {
        return;
    }
    let scene = Answers::new();
    let window = &scene.window;
    let nobody = Weak::<Answers>::new();
    scene.memory.trap_writes(window, &[ALL], nobody as Weak<dyn Resolve>).expect("uffd");
    thread::scope(|threads| {
        let writer = threads.spawn(|| store(window, 5, 1, 9));
        thread::sleep(Duration::from_millis(20));
        scene.memory.end(window);
        writer.join().expect("a store that ends");
    });
    assert_eq!((load(window, 5, 0), load(window, 5, 1)), (5, 9));
}
