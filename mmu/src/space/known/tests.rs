use std::collections::BTreeSet;
use std::thread;

use super::*;
use crate::fake::Fake;
use crate::rules::Rules;

const PAGES: u32 = 16;

fn family() -> Arc<Family<Fake>> {
    Family::new(Arc::new(Fake::new(PAGES, 1000)), Rules::default(), PAGES)
}

#[test]
fn a_layer_is_learnt_once_and_found_by_every_thread() {
    let family = family();
    let layer = family.take_layer(&[]).expect("a layer");
    let mut known = Known::default();
    assert!(known.find(layer.id()).is_none());
    assert!(Arc::ptr_eq(&known.find_or_learn(&family, layer.id()).layer, &layer));
    let find = || {
        let alias = known.find(layer.id()).expect("it is known");
        assert!(Arc::ptr_eq(&alias.layer, &layer));
        Arc::as_ptr(&alias) as usize
    };
    let seen: BTreeSet<usize> = thread::scope(|scope| {
        let threads: Vec<_> = (0..32).map(|_| scope.spawn(find)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it was found")).collect()
    });
    assert!(seen.len() > 1, "threads have names of their own for it");
}

#[test]
fn a_layer_that_is_gone_is_not_taken_for_the_next_with_its_number() {
    let family = family();
    let mut known = Known::default();
    let first = family.take_layer(&[]).expect("a layer");
    // What a pin that outlives its guest holds.
    let pinned = known.find_or_learn(&family, first.id());
    family.give_back([Arc::clone(&first)]);
    let next = family.take_layer(&[]).expect("a layer");
    assert_eq!((next.id(), family.layers()), (first.id(), 1));
    assert!(known.find(next.id()).is_none());
    assert!(Arc::ptr_eq(&known.find_or_learn(&family, next.id()).layer, &next));
    assert!(Arc::ptr_eq(&pinned.layer, &first));
}

#[test]
fn few_layers_are_known_and_none_is_kept() {
    let fake = Arc::new(Fake::new(PAGES, 1000));
    let family = Family::new(Arc::clone(&fake), Rules::default(), PAGES);
    let mut known = Known::default();
    let layers: Vec<_> = (0..3 * MOST).map(|_| family.take_layer(&[]).expect("a layer")).collect();
    for layer in layers.iter().chain(&layers) {
        assert!(Arc::ptr_eq(&known.find_or_learn(&family, layer.id()).layer, layer));
        assert!(known.layers.len() <= MOST);
    }
    assert_eq!(fake.objects().0, 3 * MOST);
    family.give_back(layers);
    assert_eq!((family.layers(), fake.objects().0), (0, 0));
    assert!((0..3 * MOST as u32).all(|id| known.find(LayerId(id)).is_none()));
}
