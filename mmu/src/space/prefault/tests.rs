use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::family::Family;
use crate::host::test_access::{WORDS, load, store};
use crate::host::{BackingKind, CopyOutOptions, HostMemory, MemoryOptions};
use crate::image::Image;
use crate::live::{LiveImage, LiveSpace};
use crate::rules::RuleSet;
use crate::space::{FromDevice, PinRequest};
use crate::write_set::MOST_PAGES;

const PAGES: u32 = 256;

/// How long a race may be waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the first word of a page holds in the image.
fn held(page: u32) -> u64 {
    1000 + u64::from(page)
}

fn root(pages: u32, copy_out: CopyOutOptions) -> Arc<LiveSpace> {
    let backing = BackingKind::HostCow;
    let options = MemoryOptions { backing, copy_out, ..MemoryOptions::default() };
    let memory = HostMemory::new(pages, options).expect("a host that can");
    let family = Family::new(Arc::new(memory), RuleSet::SingleRefcount.into(), pages);
    let root = AddressSpace::root(&family).expect("a first guest");
    (0..pages).for_each(|page| store(root.window(), page, 0, held(page)));
    root
}

fn image(pages: u32) -> Arc<LiveImage> {
    root(pages, CopyOutOptions::default()).snapshot().expect("an image")
}

/// Lets three clones write `pages`, and end.
fn teach(image: &Arc<LiveImage>, pages: &[Run]) {
    for _ in 0..3 {
        let (teacher, nothing) = image.spawn_learning().expect("room");
        assert!(nothing.is_none(), "nothing is known yet");
        pages.iter().flat_map(|run| run.gfns()).for_each(|gfn| {
            store(teacher.window(), gfn.0, 1, 7);
        });
    }
}

fn pupil(image: &Arc<LiveImage>) -> (Arc<LiveSpace>, Prefault<HostMemory>) {
    let (clone, prefault) = image.spawn_learning().expect("room");
    (clone, prefault.expect("something that is known"))
}

fn copied(space: &LiveSpace) -> Vec<Run> {
    let cow = space.family().backing().host_cow().expect("hostcow");
    cow.copied(space.window(), Run::new(0, space.family().pages()))
}

/// Whether the accounts of the family agree with each other and with the kernel's.
fn assert_accounts(space: &LiveSpace) {
    // What a fork has left to copy is there twice.
    space.finish_copy_out();
    let family = space.family();
    family.audit([]).expect("all references are counted");
    let kernels: u64 = family
        .each_store(crate::host::Store::resident_bytes)
        .into_iter()
        .map(|bytes| bytes.expect("the kernel's accounting"))
        .sum();
    assert_eq!(family.held_bytes().expect("the kernel's accounting"), kernels);
}

#[test]
fn a_clone_has_what_others_wrote_and_the_accounts_are_true() {
    let image = image(PAGES);
    let written = [Run::new(3, 5), Run::new(40, 120), Run::one(Gfn(255))];
    teach(&image, &written);
    let (clone, prefault) = pupil(&image);
    assert_eq!(copied(&clone), [], "nothing before it is run");
    prefault.run();
    assert!(prefault.is_over());
    assert_eq!(copied(&clone), written);
    let pages = 2 + 80 + 1;
    assert_eq!(clone.footprint().expect("page tables").unique_bytes, pages * 4096);
    let census = clone.census();
    assert_eq!((census.private, census.shared), (pages, u64::from(PAGES) - pages));
    assert_eq!(clone.family().counts().prefaulted, pages);
    assert_accounts(&clone);
    for page in 0..PAGES {
        let seen = [0, 1, WORDS - 1].map(|word| load(clone.window(), page, word));
        assert_eq!(seen, [held(page), 0, 0], "page {page}");
    }
}

#[test]
fn a_clone_that_is_forked_gives_a_lesson_too() {
    let image = image(PAGES);
    for _ in 0..3 {
        let (teacher, _) = image.spawn_learning().expect("room");
        store(teacher.window(), 9, 0, 1);
        let child = teacher.fork().expect("room");
        // What is written afterwards is not written to the image's pages.
        store(teacher.window(), 11, 0, 1);
        store(child.window(), 12, 0, 1);
    }
    let (clone, prefault) = pupil(&image);
    prefault.run();
    assert_eq!(copied(&clone), [Run::one(Gfn(9))]);
}

#[test]
fn what_a_teacher_has_discarded_is_not_learned() {
    let image = image(PAGES);
    for _ in 0..3 {
        let (teacher, _) = image.spawn_learning().expect("room");
        (20..24).for_each(|page| store(teacher.window(), page, 0, 1));
        teacher.discard(Gfn(21)).expect("no pin");
        store(teacher.window(), 21, 0, 2);
    }
    let (clone, prefault) = pupil(&image);
    prefault.run();
    assert_eq!(copied(&clone), [Run::one(Gfn(20)), Run::new(22, 24)]);
}

#[test]
fn what_the_clone_has_pinned_or_discarded_stays_as_it_is() {
    let image = image(PAGES);
    teach(&image, &[Run::new(0, 8)]);
    let (clone, prefault) = pupil(&image);
    let pin = clone.pin::<FromDevice>(Gfn(2), PinRequest::TRANSFER).expect("a pin");
    clone.discard(Gfn(5)).expect("no pin");
    prefault.run();
    assert_eq!(
        copied(&clone),
        [Run::new(0, 5), Run::new(6, 8)],
        "no memory for what is given back"
    );
    assert_eq!(load(clone.window(), 5, 0), 0);
    assert_eq!(load(clone.window(), 2, 0), held(2));
    let frame = (pin.frame().0.id(), pin.frame().1);
    clone.family().audit([frame]).expect("all references are counted");
}

#[test]
fn a_guest_that_writes_everything_has_others_prefaulted_within_the_bound() {
    let pages = 2 * MOST_PAGES;
    let image = image(pages);
    teach(&image, &[Run::new(0, pages)]);
    let (clone, prefault) = pupil(&image);
    prefault.run();
    assert_eq!(copied(&clone), [Run::new(0, MOST_PAGES)]);
    assert_accounts(&clone);
}

#[test]
fn a_fork_in_the_middle_ends_it() {
    let image = image(PAGES);
    teach(&image, &[Run::new(0, PAGES)]);
    let (clone, prefault) = pupil(&image);
    {
        let mut lock = prefault.0.lock();
        assert!(lock.as_mut().expect("just begun").step());
    }
    let child = clone.fork().expect("room");
    assert_eq!(copied(&clone), [], "all of it is the new image's");
    prefault.run();
    assert!(prefault.is_over());
    assert_eq!((copied(&clone), copied(&child)), (vec![], vec![]));
    assert_accounts(&clone);
}

#[test]
fn what_is_stopped_goes_on_no_more_and_holds_nothing() {
    let image = image(PAGES);
    teach(&image, &[Run::new(0, PAGES)]);
    for at in 0..40 {
        let (clone, prefault) = pupil_of_many(&image);
        thread::scope(|scope| {
            scope.spawn(|| prefault.run());
            thread::sleep(Duration::from_micros(at * 5));
            prefault.stop();
            let then = copied(&clone);
            assert_eq!(Arc::strong_count(&clone), 1, "a drop is a drop");
            thread::sleep(Duration::from_micros(200));
            assert_eq!(copied(&clone), then);
        });
        assert_accounts(&clone);
    }
}

/// The next pupil: some clones are made to learn from.
fn pupil_of_many(image: &Arc<LiveImage>) -> (Arc<LiveSpace>, Prefault<HostMemory>) {
    let made = image.spawn_learning().expect("room");
    match made {
        (clone, Some(prefault)) => (clone, prefault),
        (teacher, None) => {
            (0..PAGES).for_each(|page| store(teacher.window(), page, 1, 7));
            drop(teacher);
            pupil(image)
        }
    }
}

#[test]
fn an_image_that_is_still_being_filled_is_left_alone() {
    let on_demand =
        CopyOutOptions { background_from: 1, on_demand: true, ..CopyOutOptions::default() };
    let root = root(PAGES, on_demand);
    drop(root.snapshot().expect("an image"));
    (0..PAGES).for_each(|page| store(root.window(), page, 0, held(page)));
    let image = root.snapshot().expect("an image");
    image.learn([Run::new(0, 4)]);
    image.learn([Run::new(0, 4)]);
    image.learn([Run::new(0, 4)]);
    let (clone, prefault) = pupil(&image);
    if clone.copy_out().is_none_or(|copy_out| copy_out.is_done()) {
        // A host without what that takes.
        return;
    }
    prefault.run();
    assert!(prefault.is_over());
    assert_eq!(copied(&clone), []);
    clone.finish_copy_out();
    let (clone, prefault) = pupil(&image);
    prefault.run();
    assert_eq!(copied(&clone), [Run::new(0, 4)]);
    assert_eq!(load(clone.window(), 3, 0), held(3));
}

/// Pages that the races are about.
const RACED: u32 = 64;

/// Has a clone write and read while `prefault` is at work: whether it sees what it wrote, and the image's bytes
/// beside it.
fn clone_sees_its_own(prefault: impl Fn(&LiveSpace) + Sync) -> Result<(), String> {
    let image = image(PAGES);
    let (clone, _) = image.spawn_learning().expect("room");
    let over = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        scope.spawn(|| {
            prefault(&clone);
            over.store(true, Ordering::Release);
        });
        let mut round = 1;
        loop {
            let last = over.load(Ordering::Acquire);
            // The writer is behind the prefault, before it, and with it.
            for page in (0..RACED).rev().chain(0..RACED) {
                store(clone.window(), page, 1, round);
                let found = [0, 1, WORDS - 1].map(|word| load(clone.window(), page, word));
                if found != [held(page), round, 0] {
                    return Err(format!("page {page}, round {round}: {found:?}"));
                }
                round += 1;
            }
            if last {
                return Ok(());
            }
        }
    });
    seen?;
    let whole = (0..PAGES).find(|page| load(clone.window(), *page, 0) != held(*page));
    whole.map_or(Ok(()), |page| Err(format!("page {page} is not the image's")))
}

#[test]
fn a_clone_sees_the_images_bytes_and_its_own_writes_win() {
    for _ in 0..50 {
        let seen = clone_sees_its_own(|clone| {
            let base = clone.state.read().held.base().expect("a clone").id();
            (0..PAGES).step_by(16).for_each(|page| {
                assert!(clone.prefault(base, &[Run::new(page, page + 16)]));
            });
        });
        assert_eq!(seen, Ok(()));
    }
}

/// The negative controls: a prefault that is not what it should be is noticed.
#[test]
fn control_pages_that_are_prefaulted_as_zeros_are_noticed() {
    let seen = clone_sees_its_own(|clone| {
        (0..PAGES).for_each(|page| store(clone.window(), page, 0, 0));
    });
    assert!(seen.is_err());
}

#[test]
fn control_pages_that_are_prefaulted_by_memcpy_are_noticed() {
    let deadline = Instant::now() + PATIENCE;
    let by_memcpy = |clone: &LiveSpace| {
        for page in (0..RACED).cycle().take(2000 * RACED as usize) {
            let word = load(clone.window(), page, 1);
            store(clone.window(), page, 1, word);
        }
    };
    while clone_sees_its_own(by_memcpy).is_ok() {
        assert!(Instant::now() < deadline, "a write that was lost is never noticed");
    }
}

#[test]
fn forks_pins_discards_and_drops_beside_it_leave_all_right() {
    let image = image(PAGES);
    teach(&image, &[Run::new(0, PAGES)]);
    for round in 0..60 {
        let (clone, prefault) = pupil_of_many(&image);
        thread::scope(|scope| {
            scope.spawn(|| prefault.run());
            let page = 31 * round % PAGES;
            store(clone.window(), page, 1, 5);
            match round % 4 {
                0 => {
                    let child = clone.fork().expect("room");
                    assert_eq!(load(child.window(), page, 1), 5);
                    store(child.window(), page, 1, 6);
                }
                1 => {
                    let pin = clone.pin::<FromDevice>(Gfn(page), PinRequest::TRANSFER);
                    let pin = pin.expect("a pin");
                    drop(clone.fork().expect("room"));
                    drop(pin);
                }
                2 => {
                    let other = (page + 1) % PAGES;
                    clone.discard(Gfn(other)).expect("no pin");
                    assert_eq!(load(clone.window(), other, 0), 0);
                }
                _ => prefault.stop(),
            }
            assert_eq!([0, 1].map(|word| load(clone.window(), page, word)), [held(page), 5]);
        });
        assert_accounts(&clone);
    }
}

/// Where pincow decides about writes itself, nothing is learned.
#[test]
fn under_trap_there_is_nothing_to_learn() {
    use crate::fake::Fake;
    let family =
        Family::new(Arc::new(Fake::new(PAGES, 10_000)), RuleSet::SingleRefcount.into(), PAGES);
    let image: Arc<Image<Fake>> = AddressSpace::root(&family).unwrap().snapshot().unwrap();
    for _ in 0..5 {
        assert!(image.spawn_learning().unwrap().1.is_none());
    }
}
