//! What this backing relies on, asked of the running kernel. Nobody resolves faults here but the
//! test itself, which looks at each event.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use vm_memory::Bytes;

use super::bell::Bell;
use super::pipe::PagePipe;
use super::registry::Family;
use super::test_access::{load, store};
use super::uffd::{FaultEvent, Uffd, Watch};
use super::{Store, Window, accounting, uffd_open, uffd_sys};
use crate::backing::Access;
use crate::gfn::{Gfn, PAGE_SIZE, Run};

const PAGES: u32 = 64;

struct Scene {
    store: Store,
    window: Window,
    family: Arc<Family>,
}

impl Scene {
    fn new() -> Self {
        let (fd, _) = uffd_open::open().expect("permission for userfaultfd");
        let features = uffd_sys::FEATURE_PAGEFAULT_FLAG_WP
            | uffd_sys::FEATURE_MISSING_SHMEM
            | uffd_sys::FEATURE_WP_HUGETLBFS_SHMEM;
        let (uffd, _) = Uffd::handshake(fd, features).expect("UFFDIO_API");
        let family = Arc::new(Family::new(uffd, Bell::new().expect("eventfd"), false));
        let window = Window::new(Arc::clone(&family), PAGES).expect("window");
        Self { store: Store::new(PAGES).expect("store"), window, family }
    }

    fn show(&self, run: Run, access: Access) {
        self.window
            .show(self.store.file().expect("memfd"), run, access)
            .expect("mmap and register");
    }

    fn device_writes(&self, gfn: u32, word: u64) {
        let slice = self.store.slice(Run::one(Gfn(gfn)));
        slice.write_obj(word, 0).expect("in range");
    }

    fn splice_in(&self, gfn: u32, word: u64) {
        let other = Store::new(1).expect("store");
        other.slice(Run::new(0, 1)).write_obj(word, 0).expect("in range");
        let to = Gfn(gfn).offset() as u64;
        let mut pipe = PagePipe::new().expect("pipe");
        pipe.copy_page(other.file().expect("memfd"), 0, self.store.file().expect("memfd"), to)
            .expect("splice");
    }

    fn event(&self, patience: Duration) -> Option<FaultEvent> {
        let deadline = Instant::now() + patience;
        let mut seen = None;
        while seen.is_none() && Instant::now() < deadline {
            self.family.uffd.read(|event| seen = Some(event)).expect("read");
            thread::sleep(Duration::from_micros(200));
        }
        seen
    }

    /// The event that an access causes, and the thread that waits in it; a thread that was not
    /// stopped has ended.
    fn access<'s>(
        &'s self,
        scope: &'s Scope<'s, '_>,
        gfn: u32,
        write: bool,
    ) -> (Option<Kind>, ScopedJoinHandle<'s, u64>) {
        let thread = scope.spawn(move || {
            if write {
                store(&self.window, gfn, 1, 7);
            }
            load(&self.window, gfn, 0)
        });
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if let Some(event) = self.event(Duration::from_millis(1)) {
                assert_eq!(event.page, self.window.address(Gfn(gfn)) as usize);
                return (Some(Kind::of(event)), thread);
            }
            if thread.is_finished() {
                return (None, thread);
            }
        }
        panic!("an access neither ended nor trapped");
    }

    /// As `access`, for one that is let through when it trapped as a protected write.
    fn kind_of(&self, gfn: u32, write: bool) -> Option<Kind> {
        thread::scope(|scope| {
            let (kind, _thread) = self.access(scope, gfn, write);
            match kind {
                Some(Kind::Protected) => self.window.unprotect(Run::one(Gfn(gfn))),
                Some(_) => {
                    self.window.make_present(Run::one(Gfn(gfn)));
                    self.window.unprotect(Run::one(Gfn(gfn)));
                }
                None => {}
            }
            self.window.wake(Run::one(Gfn(gfn)));
            kind
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Protected,
    ReadOfHole,
    WriteToHole,
}

impl Kind {
    fn of(event: FaultEvent) -> Self {
        match (event.protected, event.write) {
            (true, _) => Self::Protected,
            (false, false) => Self::ReadOfHole,
            (false, true) => Self::WriteToHole,
        }
    }
}

#[test]
fn pages_protected_before_they_are_read_trap_writes() {
    let scene = Scene::new();
    scene.show(Run::new(0, PAGES), Access::Protected);
    scene.device_writes(2, 5);
    assert_eq!(scene.kind_of(1, false), None, "a hole");
    assert_eq!(scene.kind_of(2, false), None, "a page that the file has");
    for gfn in 0..4 {
        assert_eq!(scene.kind_of(gfn, true), Some(Kind::Protected), "gfn {gfn}");
        assert_eq!(scene.kind_of(gfn, true), None, "gfn {gfn} once unprotected");
    }
}

#[test]
fn protection_outlives_a_punched_page() {
    let scene = Scene::new();
    scene.show(Run::new(0, PAGES), Access::Writable);
    assert_eq!(scene.kind_of(3, true), None);
    scene.window.protect(Run::one(Gfn(3))).expect("protect");
    scene.store.punch(Run::one(Gfn(3)));
    assert_eq!(scene.kind_of(3, false), None, "reads zeros");
    assert_eq!(scene.kind_of(3, true), Some(Kind::Protected));
    assert_eq!(scene.kind_of(4, true), None, "the neighbour");
}

#[test]
fn an_absent_page_traps_until_it_is_filled_and_is_protected_then() {
    let scene = Scene::new();
    scene.show(Run::new(0, PAGES), Access::Writable);
    for gfn in [8, 9] {
        assert_eq!(scene.kind_of(gfn, true), None);
    }
    scene.window.make_absent(Run::new(8, 10)).expect("make absent");
    assert_eq!(scene.kind_of(8, false), None, "content is there until it is punched");
    scene.store.punch(Run::new(8, 10));
    thread::scope(|scope| {
        let (kind, reader) = scene.access(scope, 8, false);
        assert_eq!(kind, Some(Kind::ReadOfHole));
        scene.splice_in(8, 0xAB);
        scene.window.make_present(Run::one(Gfn(8)));
        scene.window.wake(Run::one(Gfn(8)));
        assert_eq!(reader.join().expect("reader"), 0xAB);
        let (kind, writer) = scene.access(scope, 9, true);
        assert_eq!(kind, Some(Kind::WriteToHole));
        scene.splice_in(9, 0xCD);
        scene.window.make_present(Run::one(Gfn(9)));
        scene.window.wake(Run::one(Gfn(9)));
        let again = scene.event(Duration::from_secs(5)).expect("the retried write traps");
        assert!(again.protected);
        scene.window.unprotect(Run::one(Gfn(9)));
        scene.window.wake(Run::one(Gfn(9)));
        assert_eq!(writer.join().expect("writer"), 0xCD);
    });
    assert_eq!(scene.kind_of(8, true), Some(Kind::Protected));
    assert_eq!(scene.kind_of(9, true), None);
}

#[test]
fn a_window_may_be_born_absent() {
    let scene = Scene::new();
    scene.show(Run::new(0, PAGES), Access::Absent);
    assert_eq!(scene.kind_of(0, false), Some(Kind::ReadOfHole));
    scene.splice_in(5, 1);
    assert_eq!(scene.kind_of(5, false), None, "content is there already");
    assert_eq!(scene.kind_of(5, true), Some(Kind::Protected));
}

#[test]
fn presence_fills_holes_with_zeros_and_leaves_pages_alone() {
    let scene = Scene::new();
    scene.show(Run::new(0, PAGES), Access::Absent);
    scene.splice_in(1, 0x77);
    scene.window.make_present(Run::new(0, 3));
    assert_eq!(scene.store.resident_bytes().expect("fstat"), 3 * PAGE_SIZE as u64);
    for (gfn, word) in [(0, 0), (1, 0x77), (2, 0)] {
        assert_eq!(scene.kind_of(gfn, false), None);
        assert_eq!(load(&scene.window, gfn, 0), word);
        assert_eq!(scene.kind_of(gfn, true), Some(Kind::Protected));
    }
}

#[test]
fn fewer_modes_cannot_be_asked_for() {
    let scene = Scene::new();
    scene.show(Run::new(0, PAGES), Access::Writable);
    scene.window.make_absent(Run::one(Gfn(4))).expect("make absent");
    let at = scene.window.address(Gfn(4)) as usize;
    scene.family.uffd.register(at, PAGE_SIZE, Watch::Writes).expect("the kernel says success");
    assert_eq!(scene.kind_of(4, false), Some(Kind::ReadOfHole), "and changes nothing");
    scene.show(Run::one(Gfn(4)), Access::Writable);
    scene.store.punch(Run::one(Gfn(4)));
    assert_eq!(scene.kind_of(4, false), None, "a new mapping starts afresh");
}

#[test]
fn a_frame_shown_writable_over_a_protected_one_is_writable() {
    let scene = Scene::new();
    let copy = Store::new(PAGES).expect("store");
    scene.show(Run::new(0, PAGES), Access::Protected);
    scene.device_writes(6, 1);
    thread::scope(|scope| {
        let (kind, writer) = scene.access(scope, 6, true);
        assert_eq!(kind, Some(Kind::Protected));
        copy.copy_from(&scene.store, Run::one(Gfn(6))).expect("copy");
        let run = Run::one(Gfn(6));
        scene.window.show(copy.file().expect("memfd"), run, Access::Writable).expect("show");
        scene.window.wake(run);
        assert_eq!(writer.join().expect("writer"), 1);
    });
    assert_eq!(copy.slice(Run::one(Gfn(6))).read_obj::<u64>(8).expect("in range"), 7);
    assert_eq!(scene.store.slice(Run::one(Gfn(6))).read_obj::<u64>(8).expect("in range"), 0);
    scene.window.protect(Run::one(Gfn(6))).expect("protect");
    assert_eq!(scene.kind_of(6, true), Some(Kind::Protected));
}

#[test]
fn accesses_of_the_kernel_trap_as_well() {
    let scene = Scene::new();
    scene.show(Run::new(0, PAGES), Access::Protected);
    scene.device_writes(0, 1);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let memory = scene.window.guest_memory();
            let mut zeros = std::fs::File::open("/dev/zero").expect("device");
            memory.read_exact_volatile_from(vm_memory::GuestAddress(0), &mut zeros, 8)
        });
        let event = scene.event(Duration::from_secs(5)).expect("read(2) into the window traps");
        assert!(event.protected);
        scene.window.unprotect(Run::one(Gfn(0)));
        scene.window.wake(Run::one(Gfn(0)));
        reader.join().expect("reader").expect("read");
    });
    assert_eq!(load(&scene.window, 0, 0), 0);
}

#[test]
fn neighbours_with_the_same_watch_share_a_mapping() {
    let scene = Scene::new();
    let copy = Store::new(PAGES).expect("store");
    let count = || accounting::mappings_in(scene.window.addresses()).expect("maps").len();
    scene.show(Run::new(0, PAGES), Access::Protected);
    assert_eq!(count(), 1);
    let show = |gfn| {
        let run = Run::one(Gfn(gfn));
        scene.window.show(copy.file().expect("memfd"), run, Access::Writable).expect("show");
    };
    show(10);
    assert_eq!(count(), 3);
    show(12);
    assert_eq!(count(), 5);
    show(11);
    assert_eq!(count(), 3, "10, 11 and 12 merge");
    scene.window.make_absent(Run::new(20, 22)).expect("make absent");
    assert_eq!(count(), 5);
    scene.window.make_absent(Run::one(Gfn(22))).expect("make absent");
    assert_eq!(count(), 5);
    scene.window.make_present(Run::new(20, 23));
    assert_eq!(count(), 5, "present again, and still a mapping of its own");
    scene.show(Run::new(20, 23), Access::Writable);
    assert_eq!(count(), 3, "mapped over");
    let run = Run::new(10, 13);
    scene.window.protect(run).expect("protect");
    assert_eq!(count(), 3, "protection splits nothing");
}

#[test]
fn protection_goes_across_mappings() {
    let (scene, other) = (Scene::new(), Store::new(PAGES).expect("store"));
    scene.show(Run::new(0, 8), Access::Writable);
    for gfn in [1, 4, 5] {
        scene
            .window
            .show(other.file().expect("memfd"), Run::one(Gfn(gfn)), Access::Writable)
            .expect("mmap");
    }
    scene.window.protect(Run::new(0, 8)).expect("protected");
    for gfn in 0..8 {
        assert_eq!(scene.kind_of(gfn, true), Some(Kind::Protected), "page {gfn}");
    }
    scene.window.protect(Run::new(0, 8)).expect("protected");
    scene.window.unprotect(Run::new(0, 8));
    for gfn in 0..8 {
        assert_eq!(scene.kind_of(gfn, true), None, "page {gfn}");
    }
    assert!(scene.window.protect(Run::new(0, 9)).is_err(), "page 8 shows nothing");
}

#[test]
fn userfaultfd_says_nothing_when_there_is_nothing() {
    let scene = Scene::new();
    assert!(scene.family.uffd.as_raw_fd() > 2);
    assert_eq!(scene.family.uffd.read(|_| panic!("no event")).expect("read"), 0);
}
