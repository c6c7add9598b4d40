//! Everything at once, from several threads: no deadlock, no broken count, nothing left behind.

use std::sync::{Arc, Mutex};
use std::thread;

use pincow_mmu::fake::Fake;
use pincow_mmu::scenario::Random;
use pincow_mmu::stats::Counts;
use pincow_mmu::{
    AddressSpace, Family, FromDevice, Gfn, Image, PinRequest, RuleSet, Run, SpaceError, ToDevice,
};

const PAGES: u32 = 16;
const THREADS: u64 = 4;
const ROUNDS: usize = 20_000;

type Space = Arc<AddressSpace<Fake>>;

/// The guests and images that any thread may use, and may drop while others use them.
struct Zoo {
    spaces: Mutex<Vec<Space>>,
    images: Mutex<Vec<Arc<Image<Fake>>>>,
}

fn any<T: Clone>(list: &Mutex<Vec<T>>, random: &mut Random) -> Option<T> {
    let list = list.lock().expect("no panic under the lock");
    let at = usize::try_from(random.below(list.len().max(1) as u64)).expect("a small number");
    list.get(at).cloned()
}

fn add<T>(list: &Mutex<Vec<T>>, item: T, most: usize) {
    let mut list = list.lock().expect("no panic under the lock");
    let oldest = (list.len() >= most).then(|| list.remove(0));
    list.push(item);
    drop(list);
    drop(oldest);
}

/// Refusals of the rules are part of the game.
fn allowed<T>(done: Result<T, SpaceError>) -> Option<T> {
    match done {
        Ok(done) => Some(done),
        Err(
            SpaceError::Busy { .. }
            | SpaceError::Wait { .. }
            | SpaceError::NoMappings { .. }
            | SpaceError::LeftToHost { .. },
        ) => None,
        Err(error) => panic!("{error}"),
    }
}

fn live(zoo: &Zoo, seed: u64) {
    let mut random = Random::new(seed);
    let mut pins = Vec::new();
    let mut reads = Vec::new();
    for _ in 0..ROUNDS {
        let Some(space) = any(&zoo.spaces, &mut random) else { continue };
        let gfn = Gfn(u32::try_from(random.below(PAGES.into())).expect("a small number"));
        // Few pins, or they forbid everything.
        pins.truncate(2);
        reads.truncate(2);
        match random.below(16) {
            0 => allowed(space.fork()).into_iter().for_each(|child| add(&zoo.spaces, child, 5)),
            1 => allowed(space.snapshot()).into_iter().for_each(|image| {
                add(&zoo.images, image, 3);
            }),
            2 => {
                let image = any(&zoo.images, &mut random);
                let clone = image.and_then(|image| allowed(image.spawn()));
                clone.into_iter().for_each(|clone| add(&zoo.spaces, clone, 5));
            }
            3..6 => drop(allowed(space.evict(gfn))),
            6 => drop(allowed(space.write_protect(gfn))),
            7 => {
                let end = PAGES.min(gfn.0 + 1 + random.below(8) as u32);
                let _ = allowed(space.discard_run(Run::new(gfn.0, end)));
            }
            8 => pins.extend(allowed(space.pin::<FromDevice>(gfn, PinRequest::TRANSFER))),
            9 => reads.extend(allowed(space.pin::<ToDevice>(gfn, PinRequest::TRANSFER))),
            10 => drop(pins.pop()),
            11 => drop(reads.pop()),
            _ => drop(allowed(space.fault(gfn, random.below(4) > 0))),
        }
    }
}

/// Lets threads loose on a family, and returns what they did.
fn all_at_once(fake: Fake, set: RuleSet) -> Counts {
    let fake = Arc::new(fake);
    let family = Family::new(Arc::clone(&fake), set.into(), PAGES);
    let root = AddressSpace::root(&family).expect("a first guest");
    let zoo = Zoo { spaces: Mutex::new(vec![root]), images: Mutex::default() };
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let zoo = &zoo;
            scope.spawn(move || live(zoo, seed));
        }
    });
    family.audit([]).expect("all counts add up");
    let counts = family.counters().now();
    drop(zoo);
    assert_eq!((family.layers(), fake.objects()), (0, (0, 0, 0)), "{set}");
    assert_eq!(fake.reserved(), 0, "{set}");
    counts
}

#[test]
fn threads_that_do_everything_at_once_leave_nothing_behind() {
    for set in [RuleSet::SingleRefcount, RuleSet::Exclusive, RuleSet::Wait, RuleSet::ShortRead] {
        for mappings in [400, 1_000_000] {
            let counts = all_at_once(Fake::new(PAGES, mappings), set);
            let events = [counts.copied, counts.reused, counts.swapped_in, counts.discarded];
            assert!(events.iter().all(|count| *count > 10), "{set}: {counts:?}");
        }
    }
}

#[test]
fn nor_do_they_where_the_host_copies() {
    for set in [RuleSet::SingleRefcount, RuleSet::Exclusive, RuleSet::ShortRead] {
        for mappings in [400, 1_000_000] {
            let counts = all_at_once(Fake::new(PAGES, mappings).copying(), set);
            let events = [counts.copied, counts.copied_out, counts.early_copies, counts.discarded];
            assert!(events.iter().all(|count| *count > 10), "{set}: {counts:?}");
        }
    }
}
