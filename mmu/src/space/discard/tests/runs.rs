use proptest::prelude::*;

use super::*;
use crate::fake::Content;
use crate::scenario::AnyPin;
use crate::space::{Hold, ToDevice};

/// Enough for several blocks.
const PAGES: u32 = 32;

/// What a page has behind it when it is discarded.
#[derive(Clone, Copy, Debug)]
enum Past {
    Own,
    Shared,
    Protected,
    Evicted,
    WrittenByDevice,
    ReadByDevice,
    ReadWhileShared,
    Held,
}

/// A guest that was forked, with what keeps frames beside the two.
struct Scene {
    fake: Arc<Fake>,
    root: Arc<AddressSpace<Fake>>,
    child: Option<Arc<AddressSpace<Fake>>>,
    pins: Vec<AnyPin<Fake>>,
    holds: Vec<Hold<Fake>>,
}

/// What is seen when all is done.
#[derive(Debug, PartialEq)]
struct Outcome {
    guests: Vec<Vec<Content>>,
    devices: Vec<Content>,
    discarded: u64,
}

fn written(gfn: Gfn) -> u64 {
    100 + u64::from(gfn.0)
}

impl Scene {
    /// A host that copies pages does so here without telling anybody.
    fn new(set: RuleSet, past: &[Past], host_copies: bool, child_lives: bool) -> Self {
        let fake = Fake::new(PAGES, 1_000);
        let fake = Arc::new(if host_copies { fake.copying() } else { fake });
        let family = Family::new(Arc::clone(&fake), set.into(), PAGES);
        let root = AddressSpace::root(&family).unwrap();
        let pages = || (0..).map(Gfn).zip(past.iter().copied());
        for (gfn, _) in pages() {
            fake.cpu_write(root.window(), gfn, 1, written(gfn)).unwrap();
        }
        let child = Some(root.fork().unwrap()).filter(|_| child_lives);
        let (mut pins, mut holds) = (Vec::new(), Vec::new());
        for (gfn, past) in pages() {
            if !matches!(past, Past::Shared | Past::Evicted | Past::ReadWhileShared) {
                if !host_copies {
                    root.fault(gfn, true).unwrap();
                }
                fake.cpu_write(root.window(), gfn, 0, written(gfn)).unwrap();
            }
            // A rule set may refuse some of this: then the page is as it is.
            match past {
                Past::Own | Past::Shared => {}
                Past::Protected => drop(root.write_protect(gfn)),
                Past::Evicted => drop(root.evict(gfn)),
                Past::WrittenByDevice => {
                    pins.extend(root.pin(gfn, PinRequest::TRANSFER).map(AnyPin::From));
                }
                Past::ReadByDevice | Past::ReadWhileShared => {
                    let pin = root.pin::<ToDevice>(gfn, PinRequest::TRANSFER);
                    pins.extend(pin.map(AnyPin::To));
                }
                Past::Held => holds.extend(root.hold(gfn)),
            }
        }
        Self { fake, root, child, pins, holds }
    }

    fn seen(&self, space: &Arc<AddressSpace<Fake>>) -> Vec<Content> {
        let read = |gfn: Gfn| {
            space.fault(gfn, false).unwrap();
            self.fake.cpu_read(space.window(), gfn).unwrap()
        };
        Run::new(0, PAGES).gfns().map(read).collect()
    }

    fn outcome(&self) -> Outcome {
        self.root.check_mappings().unwrap();
        let pinned = self.pins.iter().map(AnyPin::frame);
        let frames: Vec<_> = pinned.chain(self.holds.iter().map(Hold::frame)).collect();
        let audited = frames.iter().map(|(layer, gfn)| (layer.id(), *gfn));
        self.root.family().audit(audited).unwrap();
        let devices = frames.iter().map(|(layer, gfn)| self.fake.device_read(layer.store(), *gfn));
        let devices = devices.collect();
        let guests = [Some(&self.root), self.child.as_ref()];
        let guests = guests.into_iter().flatten().map(|space| self.seen(space)).collect();
        Outcome { devices, guests, discarded: self.root.family().counters().now().discarded }
    }
}

fn past() -> impl Strategy<Value = Past> {
    prop_oneof![
        4 => Just(Past::Own),
        4 => Just(Past::Shared),
        1 => Just(Past::Protected),
        1 => Just(Past::Evicted),
        1 => Just(Past::WrittenByDevice),
        1 => Just(Past::ReadByDevice),
        1 => Just(Past::ReadWhileShared),
        1 => Just(Past::Held),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// The calls of a run are few, and what they do is what one for each page does.
    #[test]
    fn a_run_is_discarded_as_its_pages_one_by_one(
        past in prop::collection::vec(past(), PAGES as usize),
        host_copies in any::<bool>(),
        child_lives in any::<bool>(),
        first in 0..PAGES,
        pages in 0..PAGES,
    ) {
        let run = Run::new(first, (first + pages).min(PAGES));
        let by_host = [RuleSet::SingleRefcount, RuleSet::Exclusive, RuleSet::ShortRead];
        let sets = if host_copies { &by_host[..] } else { &RuleSet::ALL[..] };
        for &set in sets {
            let scene = || Scene::new(set, &past, host_copies, child_lives);
            let [whole, single] = [scene(), scene()];
            let done = whole.root.discard_run(run).unwrap();
            let mut expected = Discarded::default();
            for gfn in run.gfns() {
                match single.root.discard(gfn) {
                    Ok(()) => expected.pages += 1,
                    Err(SpaceError::Busy { .. } | SpaceError::Wait { .. }) => expected.pinned += 1,
                    Err(error) => panic!("{set}: {error}"),
                }
            }
            prop_assert_eq!(done, expected, "{}", set);
            prop_assert_eq!(whole.outcome(), single.outcome(), "{}", set);
        }
    }
}

fn all(past: Past, host_copies: bool) -> Scene {
    Scene::new(RuleSet::default(), &[past; PAGES as usize], host_copies, true)
}

#[test]
fn a_run_is_discarded_but_for_what_is_pinned_and_a_device_goes_on() {
    let scene = all(Past::Own, false);
    let pin = scene.root.pin::<FromDevice>(PAGE, PinRequest::TRANSFER).unwrap();
    let done = scene.root.discard_run(Run::new(0, 4)).unwrap();
    assert_eq!(done, Discarded { pages: 3, pinned: 1 });
    let (layer, gfn) = pin.frame();
    scene.fake.device_write(layer.store(), gfn, 0, 9);
    assert_eq!(scene.seen(&scene.root)[..4], [[0, 0], [0, 0], [9, written(PAGE)], [0, 0]]);
    drop(pin);
    let later = scene.root.discard_run(Run::one(PAGE)).unwrap();
    assert_eq!(later, Discarded { pages: 1, pinned: 0 });
    assert_eq!(scene.root.discard_run(Run::new(2, 2)).unwrap(), Discarded::default());
}

/// Blocks, where the rules decide about writes; where the host does, all of it is one run.
#[test]
fn neighbours_that_are_shared_are_left_together() {
    for (host_copies, mappings) in [(false, 4), (true, 2)] {
        let scene = all(Past::Shared, host_copies);
        let child = scene.child.as_ref().unwrap();
        let before = (scene.seen(child), scene.root.census().mappings);
        let done = scene.root.discard_run(Run::new(0, PAGES)).unwrap();
        assert_eq!(done, Discarded { pages: PAGES, pinned: 0 });
        let more = scene.root.census().mappings - before.1;
        assert!(more <= mappings, "{host_copies}: {more} more");
        assert_eq!(scene.root.family().counters().now().copied, 0);
        assert_eq!(scene.seen(child), before.0);
        assert_eq!(scene.seen(&scene.root), [[0, 0]; PAGES as usize]);
    }
}

/// Every call fails once. Whatever was not reached is as before.
#[test]
fn what_the_host_refuses_ends_a_run() {
    let (mut refused, mut cut_short) = (0, 0);
    for (host_copies, nth) in (1..100).flat_map(|nth| [(false, nth), (true, nth)]) {
        let scene = all(Past::Shared, host_copies);
        let before = scene.seen(&scene.root);
        scene.fake.fail_at(nth);
        let done = scene.root.discard_run(Run::new(0, PAGES));
        if scene.fake.disarm() {
            continue;
        }
        let pages = done.as_ref().map_or(0, |done| done.pages as usize);
        refused += u32::from(done.is_err());
        cut_short += u32::from(done.is_ok() && pages < before.len());
        let after = scene.seen(&scene.root);
        assert!(after[..pages].iter().all(|page| *page == [0, 0]), "call {nth}");
        assert_eq!(after[pages..], before[pages..], "call {nth}");
        scene.root.check_mappings().unwrap();
        scene.root.family().audit([]).unwrap();
    }
    assert!(refused > 0 && cut_short > 0, "{refused}, {cut_short}");
}

#[test]
fn a_run_beyond_the_end_is_refused_as_a_whole() {
    let scene = all(Past::Own, false);
    let before = scene.seen(&scene.root);
    for run in [Run::new(2, PAGES + 1), Run { first: Gfn(u32::MAX), pages: 2 }] {
        let refused = scene.root.discard_run(run);
        assert!(matches!(refused, Err(SpaceError::OutOfRange { .. })));
    }
    assert_eq!(scene.seen(&scene.root), before);
}
