use super::*;
use crate::fake::Fake;
use crate::family::Family;
use crate::rules::RuleSet;
use crate::space::{FromDevice, PinRequest};
use crate::stats::Counts;

const PAGES: u32 = 1024;

struct Scene {
    fake: Arc<Fake>,
    family: Arc<Family<Fake>>,
    root: Arc<AddressSpace<Fake>>,
}

impl Scene {
    fn new(mappings: usize) -> Self {
        let fake = Arc::new(Fake::new(PAGES, mappings).copying());
        let family = Family::new(Arc::clone(&fake), RuleSet::SingleRefcount.into(), PAGES);
        let root = AddressSpace::root(&family).unwrap();
        Self { fake, family, root }
    }

    fn write(&self, space: &AddressSpace<Fake>, gfn: u32, value: u64) {
        self.fake.cpu_write(space.window(), Gfn(gfn), 0, value).unwrap();
    }

    fn read(&self, space: &AddressSpace<Fake>, gfn: u32) -> u64 {
        self.fake.cpu_read(space.window(), Gfn(gfn)).unwrap()[0]
    }

    fn counts(&self) -> Counts {
        self.family.counters().now()
    }
}

#[test]
fn a_first_fork_copies_nothing_but_what_is_pinned() {
    let scene = Scene::new(10_000);
    (0..PAGES).for_each(|gfn| scene.write(&scene.root, gfn, 1));
    let pin = scene.root.pin::<FromDevice>(Gfn(7), PinRequest::TRANSFER).unwrap();
    let child = scene.root.fork().unwrap();
    assert_eq!((scene.counts().early_copies, scene.counts().copied_out), (1, 0));
    scene.write(&child, 7, 2);
    scene.fake.device_write(pin.frame().0.store(), Gfn(7), 0, 3);
    assert_eq!((scene.read(&scene.root, 7), scene.read(&child, 7)), (3, 2));
    assert_eq!(scene.family.layers(), 4, "frames, the copy, and a window each");
    scene.family.audit([(pin.frame().0.id(), Gfn(7))]).unwrap();
}

#[test]
fn a_clone_takes_no_reference_on_any_frame() {
    let scene = Scene::new(10_000);
    let image = scene.root.snapshot().unwrap();
    let Entry::Mapped(mapped) = scene.root.entry(Gfn(3)).unwrap() else { panic!("mapped") };
    let before = scene.family.tally(mapped.layer, Gfn(3));
    let clones: Vec<_> = (0..5).map(|_| image.spawn().unwrap()).collect();
    assert_eq!(scene.family.tally(mapped.layer, Gfn(3)), before);
    drop(image);
    scene.write(&scene.root, 3, 9);
    scene.root.snapshot().unwrap();
    // The clones keep what they stand on.
    assert_eq!(scene.read(&clones[4], 3), 0);
    scene.family.audit([]).unwrap();
    drop(clones);
    assert_eq!(scene.family.tally(mapped.layer, Gfn(3)).refs, 0, "the last of them is gone");
}

#[test]
fn only_what_was_written_since_is_copied_out() {
    let scene = Scene::new(10_000);
    let first = scene.root.fork().unwrap();
    for gfn in 100..110 {
        scene.write(&scene.root, gfn, 1);
    }
    let second = scene.root.fork().unwrap();
    assert_eq!((scene.counts().copied_out, scene.counts().copied), (10, 10));
    let third = scene.root.fork().unwrap();
    assert_eq!(scene.counts().copied_out, 10, "nothing was written between");
    let seen = [&first, &second, &third, &scene.root].map(|space| scene.read(space, 105));
    assert_eq!(seen, [0, 1, 1, 1]);
    assert_eq!(second.map().get(Gfn(105)), third.map().get(Gfn(105)), "one copy for all");
}

#[test]
fn runs_are_joined_over_few_pages_and_over_more_when_mappings_are_short() {
    let every = |stride: usize, mappings: usize| {
        let scene = Scene::new(mappings);
        let _first = scene.root.fork().unwrap();
        for gfn in (0..PAGES).step_by(stride) {
            scene.write(&scene.root, gfn, u64::from(gfn) + 1);
        }
        let child = scene.root.fork().unwrap();
        for gfn in 0..PAGES {
            let written =
                if (gfn as usize).is_multiple_of(stride) { u64::from(gfn) + 1 } else { 0 };
            assert_eq!(scene.read(&child, gfn), written);
        }
        (scene.counts().block_copied, child.census().mappings)
    };
    let (beside, mappings) = every(2, 100_000);
    assert_eq!((beside, mappings), (u64::from(PAGES) / 2 - 1, 2), "one run, and the last page");
    assert_eq!(every(8, 100_000), (0, 2 * u64::from(PAGES) / 8));
    let (beside, mappings) = every(8, 600);
    assert!(beside > 0 && mappings < 10, "{beside} copied beside, {mappings} mappings");
}

#[test]
fn a_fork_without_room_for_its_mappings_is_refused_and_changes_nothing() {
    let scene = Scene::new(12);
    scene.write(&scene.root, 3, 1);
    let before = scene.root.map().iter().collect::<Vec<_>>();
    let children: Vec<_> = std::iter::from_fn(|| scene.root.fork().ok()).take(100).collect();
    assert!((1..100).contains(&children.len()), "{}", children.len());
    let free = scene.fake.reserved();
    assert!(matches!(scene.root.fork(), Err(SpaceError::NoMappings { .. })));
    assert_eq!(scene.fake.reserved(), free);
    assert_eq!(before.len(), PAGES as usize);
    scene.family.audit([]).unwrap();
}
