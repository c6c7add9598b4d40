//! The same sequences on real memory.

use std::sync::Arc;

use proptest::test_runner::TestRunner;

use super::tests::{PAGES, SOUND, SOUND_ON_HOST, config, run_all};
use super::{Bench, World};
use crate::backing::Backing;
use crate::host::{
    BackingKind, CopyOutOptions, FailureInjector, HostMemory, MemoryOptions, mappings_in,
};
use crate::rules::{RuleSet, Rules};
use crate::space::AddressSpace;

type Kind = (BackingKind, CopyOutOptions);

fn trap() -> Kind {
    (BackingKind::Trap, CopyOutOptions::default())
}

fn host_cow(copy_out: CopyOutOptions) -> Kind {
    (BackingKind::HostCow, copy_out)
}

struct RealBench {
    memory: Arc<HostMemory>,
    failures: Arc<FailureInjector>,
    mappings: usize,
}

impl RealBench {
    fn new((backing, copy_out): Kind, mappings: usize) -> Self {
        let failures = Arc::<FailureInjector>::default();
        let options = MemoryOptions {
            backing,
            copy_out,
            mapping_limit: Some(mappings),
            failures: Some(Arc::clone(&failures)),
            ..MemoryOptions::default()
        };
        let memory = Arc::new(HostMemory::new(PAGES, options).expect("a host that can"));
        let mappings = memory.free_mappings();
        Self { memory, failures, mappings }
    }
}

impl Bench for RealBench {
    type Backing = HostMemory;

    fn backing(&self) -> &Arc<HostMemory> {
        &self.memory
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

    /// What the window shows is seen when it is read. The kernel is asked for its mappings only, where
    /// they do not follow from the map.
    fn window(&self, space: &AddressSpace<HostMemory>) -> Result<String, String> {
        if self.memory.host_cow().is_none() {
            return Ok(String::new());
        }
        let mappings =
            mappings_in(space.window().addresses()).map_err(|error| error.to_string())?;
        let (found, known) = (mappings.len() as u64, space.census().mappings);
        (found <= known)
            .then(String::new)
            .ok_or(format!("{found} mappings, of which {known} are known"))
    }

    fn is_answering(&self) -> bool {
        self.memory.is_answering()
    }

    fn leftovers(&self) -> String {
        match (self.memory.swapped_frames(), self.mappings - self.memory.free_mappings()) {
            (0, 0) => String::new(),
            left => format!("places in the swap, mappings: {left:?}"),
        }
    }
}

const PLENTY: usize = 1 << 20;

fn hold_for(
    (kind, set): (Kind, RuleSet),
    mappings: usize,
    inject: bool,
    cases: u32,
    length: usize,
) {
    let (rules, what) = (Rules::from(set), format!("{set} on real memory, {kind:?}"));
    run_all(TestRunner::new(config(cases)), length, &what, |actions| {
        World::new(RealBench::new(kind, mappings), rules, PAGES, inject).live(actions, |_| {})
    });
}

#[test]
fn the_laws_hold_on_real_memory() {
    for set in SOUND {
        hold_for((trap(), set), PLENTY, false, 400, 60);
    }
}

#[test]
fn an_operation_that_fails_on_real_memory_leaves_everything_as_before() {
    for set in SOUND {
        hold_for((trap(), set), PLENTY, true, 100, 30);
    }
}

#[test]
fn the_laws_hold_on_real_memory_when_mappings_run_short() {
    hold_for((trap(), RuleSet::SingleRefcount), 100, false, 200, 60);
}

#[test]
fn the_laws_hold_on_real_memory_when_the_kernel_copies() {
    let kind = host_cow(CopyOutOptions { at_once: true, ..CopyOutOptions::default() });
    for set in SOUND_ON_HOST {
        hold_for((kind, set), PLENTY, false, 400, 60);
        hold_for((kind, set), PLENTY, true, 100, 30);
    }
    hold_for((kind, RuleSet::SingleRefcount), 60, false, 200, 60);
}

/// Forks leave all to copy, and only what somebody wants is copied until the next fork.
#[test]
fn the_laws_hold_while_forks_have_left_pages_to_copy() {
    let options = CopyOutOptions { background_from: 1, on_demand: true, ..Default::default() };
    let kind = host_cow(options);
    for set in SOUND_ON_HOST {
        hold_for((kind, set), PLENTY, false, 400, 60);
        hold_for((kind, set), PLENTY, true, 100, 30);
    }
    hold_for((kind, RuleSet::SingleRefcount), 60, false, 200, 60);
}
