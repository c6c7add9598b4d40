use std::collections::BTreeSet;

use super::{Explored, Explorer};
use crate::rules::{Mutant, RuleSet, Rules};
use crate::scenario::{Finding, Limits, Model, Op, Script, run};

const SMALL: Limits = Limits { guests: 2, pins: 1, uncounted: false, holds: false };
const FULL: Limits = Limits { guests: 2, pins: 2, uncounted: false, holds: false };

fn explore(rules: impl Into<Rules>, limits: Limits) -> Explored {
    let rules = rules.into();
    let explored = Explorer::new(rules, limits).run(|_, _| true).unwrap();
    assert!(explored.complete);
    for (finding, ops) in &explored.findings {
        assert!(reproduces(rules, *finding, ops), "{finding}: {ops:?}");
    }
    explored
}

/// The script reads back as it was printed, and shows what it is said to show.
fn reproduces(rules: Rules, finding: Finding, ops: &[Op]) -> bool {
    let script = Script::new("found", ops.to_vec());
    let read = Script::parse_all("-", &script.to_string()).unwrap();
    assert_eq!(read, [script]);
    run(&read[0], &mut Model::of(rules)).unwrap().findings.contains(&finding)
}

fn violations(explored: &Explored) -> BTreeSet<Finding> {
    explored.findings.keys().copied().filter(|finding| finding.is_violation()).collect()
}

fn mutant(mutant: Mutant) -> Rules {
    Rules { set: RuleSet::Exclusive, mutant: Some(mutant) }
}

#[test]
fn the_sound_sets_are_clean_in_every_reachable_state() {
    for set in [RuleSet::SingleRefcount, RuleSet::Exclusive, RuleSet::ShortRead, RuleSet::Wait] {
        let explored = explore(set, FULL);
        assert_eq!(violations(&explored), BTreeSet::new(), "{set}: {:?}", explored.findings);
        assert_eq!(set.known_findings(), "");
    }
}

#[test]
fn the_sound_sets_are_clean_with_host_references_too() {
    let limits = Limits { holds: true, ..SMALL };
    for set in [RuleSet::SingleRefcount, RuleSet::Exclusive, RuleSet::ShortRead, RuleSet::Wait] {
        assert_eq!(violations(&explore(set, limits)), BTreeSet::new(), "{set}");
    }
    let holds = explore(RuleSet::SingleRefcount, Limits { holds: true, ..FULL });
    assert_eq!(violations(&holds), BTreeSet::new());
}

/// What only the counting sets survive.
#[test]
fn uncounted_references_hurt_the_private_bit_alone() {
    let limits = Limits { uncounted: true, ..SMALL };
    assert_eq!(violations(&explore(RuleSet::SingleRefcount, limits)), BTreeSet::new());
    for set in [RuleSet::Exclusive, RuleSet::Wait, RuleSet::ShortRead] {
        assert!(violations(&explore(set, limits)).contains(&Finding::Leak), "{set}");
    }
}

#[test]
fn the_letter_of_the_rules_lets_read_pins_go_stale_and_nothing_else() {
    for set in [RuleSet::Literal, RuleSet::Busy] {
        let explored = explore(set, FULL);
        assert_eq!(violations(&explored), BTreeSet::from([Finding::Stale]), "{set}");
        assert_eq!(explored.findings[&Finding::Stale].len(), 4);
    }
}

#[test]
fn pin_counts_lose_a_device_write_without_a_fork() {
    for set in [RuleSet::Refcount, RuleSet::PinBias] {
        let explored = explore(set, SMALL);
        let lost = &explored.findings[&Finding::Lost];
        assert_eq!(lost.len(), 5, "{set}: {lost:?}");
        assert!(!lost.iter().any(|op| matches!(op, Op::Fork { .. })), "{set}: {lost:?}");
        assert!(!explored.findings.contains_key(&Finding::Leak), "{set}");
    }
}

#[test]
fn mapcount_leaks_in_four_steps_and_loses_in_five() {
    let explored = explore(RuleSet::Mapcount, SMALL);
    assert_eq!(explored.findings[&Finding::Leak].len(), 4);
    assert_eq!(explored.findings[&Finding::Lost].len(), 5);
}

/// The test of the tests: every rule that is left out is missed.
#[test]
fn every_mutant_is_caught() {
    for which in Mutant::ALL {
        let explored = explore(mutant(which), SMALL);
        assert!(!violations(&explored).is_empty(), "{which} shows {:?}", explored.findings);
    }
}

/// Under `wait` a drain takes pins whose names the script still knows.
#[test]
fn names_stay_unambiguous_after_a_drain() {
    let rules = Rules::from(RuleSet::Wait);
    let limits = Limits { uncounted: true, ..FULL };
    let mut drained = 0;
    let explorer = Explorer::new(rules, limits).at_most(2_000);
    let states = explorer.scripts(|_, _| true).unwrap();
    for ops in states {
        let script = Script::new("state", ops);
        let read = Script::parse_all("-", &script.to_string()).unwrap();
        assert_eq!(read, std::slice::from_ref(&script));
        let outcome = run(&script, &mut Model::of(rules)).unwrap();
        drained += usize::from(outcome.findings.contains(&Finding::Wait));
    }
    assert!(drained > 100, "{drained}");
}

#[test]
fn the_number_of_threads_makes_no_difference() {
    let on = |threads| {
        let explorer = Explorer::new(mutant(Mutant::ForkIgnoresPins), SMALL).on_threads(threads);
        explorer.run(|_, _| true).unwrap()
    };
    let alone = on(1);
    assert_eq!(alone, on(3));
    assert_eq!(alone, on(7));
}

#[test]
fn an_exploration_that_is_stopped_says_so() {
    let explorer = || Explorer::new(RuleSet::Mapcount.into(), SMALL);
    let stopped = explorer().run(|reached, _| reached < 50).unwrap();
    assert!(!stopped.complete && stopped.states >= 50);
    let limited = explorer().at_most(50).run(|_, _| true).unwrap();
    assert!(!limited.complete && limited.states > 50);
    let mut calls = Vec::new();
    explorer()
        .run(|reached, left| {
            calls.push((reached, left));
            true
        })
        .unwrap();
    assert_eq!(calls[0], (1, 1));
    assert!(calls.is_sorted_by_key(|(reached, _)| *reached));
}
