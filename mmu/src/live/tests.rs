//! What spaces say of themselves, beside what the kernel says of them.

use std::sync::Arc;

use super::*;
use crate::family::Family;
use crate::host::{MemoryOptions, mappings_in};
use crate::rules::RuleSet;
use crate::scenario::Random;

const PAGES: u32 = 64;

fn root() -> Arc<LiveSpace> {
    let trap = Arc::new(HostMemory::new(PAGES, MemoryOptions::default()).unwrap());
    let root = AddressSpace::root(&Family::new(trap, RuleSet::default().into(), PAGES)).unwrap();
    attach(&root);
    root
}

fn assert_mappings_are_known(space: &LiveSpace, when: &str) {
    let kernel = mappings_in(space.window().addresses()).unwrap().len() as u64;
    let ours = space.census().mappings;
    assert!(kernel <= ours, "{when}: the kernel has {kernel} mappings, we know of {ours}");
}

#[test]
fn the_kernel_has_no_more_mappings_than_a_space_knows_of() {
    let mut random = Random::new(1);
    let mut space = root();
    let mut parents = Vec::new();
    for step in 0..600 {
        let gfn = Gfn(u32::try_from(random.below(u64::from(PAGES))).unwrap());
        let what = random.below(40);
        match what {
            0 => {
                let child = space.fork().unwrap();
                attach(&child);
                parents.push(std::mem::replace(&mut space, child));
            }
            1..8 => space.evict(gfn).unwrap(),
            8..12 => space.discard(gfn).unwrap(),
            _ => space.fault(gfn, what.is_multiple_of(2)).unwrap(),
        }
        assert_mappings_are_known(&space, &format!("step {step}, action {what} on {gfn}"));
    }
    let counts = space.family().counters().now();
    assert!(counts.copied > 10 && counts.swapped_in > 10, "too little happened: {counts:?}");
}
