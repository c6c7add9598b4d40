use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::fake::{Fake, Flaw};
use crate::rules::{Mutant, RuleSet, Rules};
use crate::stats::Counts;

pub(super) const PAGES: u32 = 24;
pub(super) const SOUND: [RuleSet; 4] =
    [RuleSet::SingleRefcount, RuleSet::Exclusive, RuleSet::ShortRead, RuleSet::Wait];

/// Sequences per rule set. `PROPTEST_CASES` asks for another number.
pub(super) fn config(cases: u32) -> Config {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    Config { cases: asked.unwrap_or(cases), failure_persistence: None, ..Config::default() }
}

/// The sound sets under which the host may copy pages by itself.
pub(super) const SOUND_ON_HOST: [RuleSet; 3] =
    [RuleSet::SingleRefcount, RuleSet::Exclusive, RuleSet::ShortRead];

/// Whether a sequence keeps all laws, on a fake with a flaw.
fn live(
    (flaw, rules): (Flaw, Rules),
    mappings: usize,
    inject: bool,
    actions: &[Action],
) -> (Result<(), Broken>, Counts) {
    live_on(Fake::new(PAGES, mappings).with(flaw), rules, inject, actions)
}

fn live_on(
    fake: Fake,
    rules: Rules,
    inject: bool,
    actions: &[Action],
) -> (Result<(), Broken>, Counts) {
    let bench = FakeBench::new(fake);
    let world = World::new(bench, rules, PAGES, inject);
    let family = Arc::clone(world.family());
    let lived = world.live(actions, |_| {});
    (lived, family.counters().now())
}

/// Runs sequences, and panics with the shortest one that breaks a law.
pub(super) fn run_all(
    mut runner: TestRunner,
    length: usize,
    what: &str,
    live: impl Fn(&[Action]) -> Result<(), Broken>,
) {
    let tested = runner.run(&sequences(length), |actions| {
        live(&actions).map_err(|broken| TestCaseError::fail(broken.to_string()))
    });
    if let Err(error) = tested {
        panic!("{what}: {error}");
    }
}

fn hold_for(set: RuleSet, mappings: usize, inject: bool, cases: u32, length: usize) {
    let what = format!("{set}, {mappings} mappings");
    run_all(TestRunner::new(config(cases)), length, &what, |actions| {
        live((Flaw::None, set.into()), mappings, inject, actions).0
    });
}

/// Conservation, stay put, isolation, no lost DMA.
#[test]
fn the_laws_hold_over_random_sequences() {
    for set in SOUND {
        hold_for(set, usize::MAX / 2, false, 500, 80);
    }
}

#[test]
fn an_operation_that_fails_leaves_everything_as_before() {
    for set in SOUND {
        hold_for(set, usize::MAX / 2, true, 300, 40);
    }
}

/// With few host mappings: forks are refused, blocks are copied, and no write fails.
#[test]
fn the_laws_hold_when_mappings_run_short() {
    for mappings in [60, 100, 160] {
        for set in SOUND {
            hold_for(set, mappings, false, 150, 80);
        }
        hold_for(RuleSet::SingleRefcount, mappings, true, 50, 40);
    }
}

fn hold_on_host_for(set: RuleSet, mappings: usize, inject: bool, cases: u32, length: usize) {
    let what = format!("{set}, {mappings} mappings, pages copied by the host");
    run_all(TestRunner::new(config(cases)), length, &what, |actions| {
        live_on(Fake::new(PAGES, mappings).copying(), set.into(), inject, actions).0
    });
}

/// The same where the host copies pages and tells nobody.
#[test]
fn the_laws_hold_when_the_host_copies() {
    for set in SOUND_ON_HOST {
        hold_on_host_for(set, usize::MAX / 2, false, 500, 80);
        hold_on_host_for(set, usize::MAX / 2, true, 300, 40);
        hold_on_host_for(set, 60, false, 150, 80);
    }
}

/// Controls: copies that the host hides, and pages that it leaves writable, are not what maps say.
#[test]
fn control_a_host_that_copies_and_is_wrong_is_noticed() {
    for flaw in [Flaw::HidesCopies, Flaw::SkipsReplace] {
        let mut runner = TestRunner::deterministic();
        let found = (0..400).any(|_| {
            let actions = sequences(60).new_tree(&mut runner).unwrap().current();
            let fake = Fake::new(PAGES, usize::MAX / 2).copying().with(flaw);
            let (lived, _) = live_on(fake, RuleSet::SingleRefcount.into(), false, &actions);
            lived.is_err_and(|broken| broken.law == Law::Books)
        });
        assert!(found, "{flaw:?}");
    }
}

#[test]
fn control_a_host_that_prefaults_zeros_is_noticed() {
    let mut runner = TestRunner::deterministic();
    let mut lives = |flaw| {
        let actions = sequences(60).new_tree(&mut runner).unwrap().current();
        let fake = Fake::new(PAGES, usize::MAX / 2).copying().with(flaw);
        live_on(fake, RuleSet::SingleRefcount.into(), false, &actions)
    };
    let prefaulted: u64 = (0..100).map(|_| lives(Flaw::None).1.prefaulted).sum();
    assert!(prefaulted > 100, "the sequences do so: {prefaulted}");
    assert!((0..400).any(|_| lives(Flaw::ZeroesAhead).0.is_err()));
}

/// Whether random sequences find this law broken before any other.
fn breaks(law: Law, flaw: Flaw, rules: impl Into<Rules>) -> bool {
    let (rules, inject) = (rules.into(), law == Law::AllOrNothing);
    let mut runner = TestRunner::deterministic();
    (0..400).any(|_| {
        let actions = sequences(60).new_tree(&mut runner).unwrap().current();
        let (lived, _) = live((flaw, rules), usize::MAX / 2, inject, &actions);
        lived.is_err_and(|broken| broken.law == law)
    })
}

fn exclusive_without(mutant: Mutant) -> Rules {
    Rules { set: RuleSet::Exclusive, mutant: Some(mutant) }
}

/// Control of *conservation*: somebody forgets to let a frame go, or the host to take its memory.
#[test]
fn control_a_reference_that_leaks_breaks_conservation() {
    let bench = FakeBench::new(Fake::new(PAGES, usize::MAX / 2));
    let mut world = World::new(bench, RuleSet::SingleRefcount.into(), PAGES, false);
    world.step(Action::Hold { space: 0, page: 3 }).unwrap();
    world.check().unwrap();
    world.forget_hold();
    assert_eq!(world.check().unwrap_err().law, Law::Conservation);
    assert_eq!(world.end().unwrap_err().law, Law::Conservation);

    assert!(breaks(Law::Conservation, Flaw::KeepsMappings, RuleSet::SingleRefcount));
}

/// Control of *stay put*: rules that move or evict a page under a device that writes it.
#[test]
fn control_a_page_that_moves_under_its_pin_breaks_stay_put() {
    for rules in [
        exclusive_without(Mutant::EvictIgnoresPins),
        RuleSet::Refcount.into(),
        RuleSet::Mapcount.into(),
    ] {
        assert!(breaks(Law::StayPut, Flaw::None, rules), "{rules:?}");
    }
}

/// Control of *isolation*: a parent that goes on writing what it shares.
#[test]
fn control_a_parent_that_stays_writable_breaks_isolation() {
    let rules = exclusive_without(Mutant::ForkLeavesParentWritable);
    assert!(breaks(Law::Isolation, Flaw::None, rules));
}

/// Control of *no lost DMA*: copies without the bytes, and devices that see old ones.
#[test]
fn control_a_copy_that_forgets_breaks_no_lost_dma() {
    assert!(breaks(Law::NoLostDma, Flaw::SkipsCopy, RuleSet::SingleRefcount));
    assert!(breaks(Law::NoLostDma, Flaw::None, RuleSet::Literal));
}

/// Control of *all or nothing*: a host that does what it says that it could not.
#[test]
fn control_a_failure_that_did_something_breaks_all_or_nothing() {
    assert!(breaks(Law::AllOrNothing, Flaw::ProtectsAndFails, RuleSet::SingleRefcount));
}

/// Control of the rest: windows that do not show what the map says, and memory that is not cleared.
#[test]
fn control_a_host_that_does_nothing_is_noticed() {
    assert!(breaks(Law::Books, Flaw::SkipsProtect, RuleSet::SingleRefcount));
    assert!(breaks(Law::NoLostDma, Flaw::SkipsPunch, RuleSet::SingleRefcount));
}

/// The sequences go everywhere: what they never do, they do not test.
#[test]
fn control_the_sequences_reach_every_kind_of_event() {
    let mut runner = TestRunner::deterministic();
    let mut totals = [Counts::default(); 2];
    for _ in 0..150 {
        let actions = sequences(80).new_tree(&mut runner).unwrap().current();
        for (total, mappings) in totals.iter_mut().zip([usize::MAX / 2, 60]) {
            let wrong = (Flaw::None, Rules::from(RuleSet::Exclusive));
            let (_, counts) = live(wrong, mappings, false, &actions);
            total.copied += counts.copied;
            total.reused += counts.reused;
            total.unshared += counts.unshared;
            total.early_copies += counts.early_copies;
            total.block_copied += counts.block_copied;
            total.evicted += counts.evicted;
            total.swapped_in += counts.swapped_in;
            total.discarded += counts.discarded;
        }
    }
    let [plenty, short] = totals;
    let Counts { copied, reused, unshared, early_copies, evicted, swapped_in, discarded, .. } =
        plenty;
    let least = [copied, reused, unshared, early_copies, evicted, swapped_in, discarded];
    assert!(least.iter().all(|count| *count > 20), "{plenty:?}");
    assert_eq!(plenty.block_copied, 0);
    assert!(short.block_copied > 20, "{short:?}");
}
