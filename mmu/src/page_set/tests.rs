use std::collections::BTreeSet;

use proptest::prelude::*;

use super::PageSet;
use crate::gfn::{Gfn, Run};

const PAGES: u32 = 200;

fn numbers(runs: &[Run]) -> Vec<u32> {
    runs.iter().flat_map(|run| run.numbers()).collect()
}

proptest! {
    #[test]
    fn it_is_a_set(changes in prop::collection::vec((any::<bool>(), 0..PAGES, 0..PAGES), 0..40)) {
        let (mut set, mut model) = (PageSet::default(), BTreeSet::new());
        for (insert, one, other) in changes {
            let run = Run::new(one.min(other), one.max(other));
            if insert {
                set.insert(run);
                model.extend(run.numbers());
            } else {
                set.remove(run);
                model.retain(|number| !run.numbers().contains(number));
            }
        }
        let all = Run::new(0, PAGES);
        prop_assert!((0..PAGES).all(|number| set.contains(Gfn(number)) == model.contains(&number)));
        prop_assert_eq!(numbers(&set.inside(all)), model.iter().copied().collect::<Vec<_>>());
        let others: Vec<_> = (0..PAGES).filter(|number| !model.contains(number)).collect();
        prop_assert_eq!(numbers(&set.outside(all)), others);
    }
}

#[test]
fn neighbours_are_one_run() {
    let set = PageSet::of(&[Run::new(3, 70), Run::new(70, 130)]);
    assert_eq!(set.inside(Run::new(0, 200)), [Run::new(3, 130)]);
    assert_eq!(set.outside(Run::new(0, 200)), [Run::new(0, 3), Run::new(130, 200)]);
}
