//! The same sequences on real memory.

use std::sync::Arc;

use proptest::test_runner::TestRunner;

use super::tests::{PAGES, SOUND, config, run_all};
use super::{Bench, World};
use crate::backing::Backing;
use crate::host::{FailureInjector, HostMemory, MemoryOptions};
use crate::rules::{RuleSet, Rules};
use crate::space::AddressSpace;

struct TrapBench {
    trap: Arc<HostMemory>,
    failures: Arc<FailureInjector>,
    mappings: usize,
}

impl TrapBench {
    fn new(mappings: usize) -> Self {
        let failures = Arc::<FailureInjector>::default();
        let options = MemoryOptions {
            mapping_limit: Some(mappings),
            failures: Some(Arc::clone(&failures)),
            ..MemoryOptions::default()
        };
        let trap =
            Arc::new(HostMemory::new(PAGES, options).expect("userfaultfd for shared memory"));
        let mappings = trap.free_mappings();
        Self { trap, failures, mappings }
    }
}

impl Bench for TrapBench {
    type Backing = HostMemory;

    fn backing(&self) -> &Arc<HostMemory> {
        &self.trap
    }

    fn fail_at(&self, nth: u64) {
        self.failures.fail_at(nth);
    }

    fn disarm(&self) -> bool {
        let untouched = !self.failures.has_failed();
        self.failures.fail_at(0);
        untouched
    }

    fn faults_return(&self) -> bool {
        false
    }

    fn window(&self, _: &AddressSpace<HostMemory>) -> Result<String, String> {
        // The kernel is not asked: what the window shows is seen when it is read.
        Ok(String::new())
    }

    fn is_answering(&self) -> bool {
        self.trap.is_answering()
    }

    fn leftovers(&self) -> String {
        match (self.trap.swapped_frames(), self.mappings - self.trap.free_mappings()) {
            (0, 0) => String::new(),
            left => format!("places in the swap, mappings: {left:?}"),
        }
    }
}

fn hold_for(set: RuleSet, mappings: usize, inject: bool, cases: u32, length: usize) {
    let rules = Rules::from(set);
    run_all(TestRunner::new(config(cases)), length, &format!("{set} on real memory"), |actions| {
        World::new(TrapBench::new(mappings), rules, PAGES, inject).live(actions, |_| {})
    });
}

#[test]
fn the_laws_hold_on_real_memory() {
    for set in SOUND {
        hold_for(set, 1 << 20, false, 400, 60);
    }
}

#[test]
fn an_operation_that_fails_on_real_memory_leaves_everything_as_before() {
    for set in SOUND {
        hold_for(set, 1 << 20, true, 100, 30);
    }
}

#[test]
fn the_laws_hold_on_real_memory_when_mappings_run_short() {
    hold_for(RuleSet::SingleRefcount, 100, false, 200, 60);
}
