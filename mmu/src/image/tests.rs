use super::*;
use crate::fake::Fake;
use crate::gfn::Gfn;
use crate::rules::RuleSet;

#[test]
fn an_image_keeps_the_bytes_of_its_birth_and_outlives_its_guest() {
    let fake = Arc::new(Fake::new(8, 10_000));
    let family = Family::new(Arc::clone(&fake), RuleSet::SingleRefcount.into(), 8);
    let root = AddressSpace::root(&family).unwrap();
    fake.cpu_write(root.window(), Gfn(3), 1, 7).unwrap();
    let image = root.snapshot().unwrap();
    assert!(fake.cpu_write(root.window(), Gfn(3), 1, 8).is_err(), "shared, so protected");
    root.fault(Gfn(3), true).unwrap();
    fake.cpu_write(root.window(), Gfn(3), 1, 8).unwrap();
    drop(root);
    family.audit([]).unwrap();

    let clones: Vec<_> = (0..20).map(|_| image.spawn().unwrap()).collect();
    for (clone, stamp) in clones.iter().zip(100..) {
        assert_eq!(fake.cpu_read(clone.window(), Gfn(3)), Ok([0, 7]));
        clone.fault(Gfn(3), true).unwrap();
        fake.cpu_write(clone.window(), Gfn(3), 1, stamp).unwrap();
    }
    assert_eq!(fake.cpu_read(image.spawn().unwrap().window(), Gfn(3)), Ok([0, 7]));
    assert_eq!(clones[0].census().private, 1);
    assert_eq!(family.counters().now().copied, 21);
    family.audit([]).unwrap();
    drop((clones, image));
    assert_eq!((family.layers(), fake.objects()), (0, (0, 0, 0)));
}

/// Pages of more than one chunk of a map.
const PAGES: u32 = 1200;

/// An image, and one beside it.
type Both = [Arc<Image<Fake>>; 2];

/// An image, and one that stands on it and has other frames in two places.
fn one_upon_the_other() -> (Arc<Family<Fake>>, Both, LayerId) {
    let family =
        Family::new(Arc::new(Fake::new(PAGES, 10_000)), RuleSet::SingleRefcount.into(), PAGES);
    let base = AddressSpace::root(&family).unwrap().snapshot().unwrap();
    let other = family.take_layer(&[Run::new(0, PAGES)]).unwrap();
    let mut table = base.map();
    for run in OTHERS {
        table.set_run(run, Entry::Empty);
    }
    let image = Image::sharing(&family, Some(&base), table).unwrap();
    for run in OTHERS {
        other.take_run(run, Holder::Image);
        image.fill(run, other.id());
    }
    family.give_back([Arc::clone(&other)]);
    family.enrol_image(&image);
    (family, [base, image], other.id())
}

const OTHERS: [Run; 2] = [Run { first: Gfn(100), pages: 3 }, Run { first: Gfn(1190), pages: 10 }];

#[test]
fn an_image_stands_on_another_until_it_has_taken_its_references() {
    let (family, [base, image], _) = one_upon_the_other();
    let Entry::Mapped(Mapped { layer, .. }) = base.map().get(Gfn(0)) else { panic!("mapped") };
    let held = |gfn| family.tally(layer, Gfn(gfn)).refs;
    // In a chunk with another frame, in none, and in place of another frame.
    assert_eq!([held(0), held(600), held(101)], [2, 1, 1]);
    image.stand_alone();
    assert_eq!([held(0), held(600), held(101)], [2, 2, 1]);
    image.stand_alone();
    assert_eq!(held(600), 2, "once");
    family.audit([]).unwrap();
    drop(base);
    assert_eq!([held(0), held(600), held(101)], [1, 1, 0]);
    family.audit([]).unwrap();
    drop(image);
    assert_eq!(family.layers(), 0);
}

#[test]
fn an_image_that_never_stood_alone_leaves_nothing_behind() {
    let (family, [base, image], _) = one_upon_the_other();
    drop(base);
    assert_eq!(family.layers(), 2, "what it stands on lives");
    drop(image);
    assert_eq!(family.layers(), 0);
}

/// Where a frame has no room for another holder, nothing is taken.
#[test]
fn an_image_stays_on_its_base_where_a_frame_is_full() {
    let (family, [base, image], _) = one_upon_the_other();
    let Entry::Mapped(Mapped { layer, .. }) = base.map().get(Gfn(700)) else { panic!("mapped") };
    let full = family.layer(layer);
    while full.add(Gfn(700), Holder::Image).is_ok() {}
    let before = family.tally(layer, Gfn(699));
    image.stand_alone();
    assert_eq!(family.tally(layer, Gfn(699)), before);
    drop(base);
    assert_eq!(family.tally(layer, Gfn(699)), before, "its base lives");
}

#[test]
fn an_image_has_the_runs_of_its_map_whatever_it_stands_on() {
    let (_family, [base, image], other) = one_upon_the_other();
    let table = image.map();
    let walked = table.layers(table.all());
    assert_eq!(image.runs(), walked);
    let others: Vec<Run> =
        walked.iter().filter(|(_, layer)| *layer == other).map(|(run, _)| *run).collect();
    assert_eq!((others, base.runs().len()), (OTHERS.to_vec(), 1));
}
