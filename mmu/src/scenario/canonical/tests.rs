use std::collections::HashMap;

use super::View;
use crate::rules::{Mutant, RuleSet, Rules};
use crate::scenario::{Limits, Model, Op, Outcome, Random, Runner, Scope, Script, moves};

const LIMITS: Limits = Limits { guests: 2, pins: 2, uncounted: true, holds: true };

fn after<'m>(model: &'m mut Model, ops: &[Op]) -> Runner<'m, Model> {
    let mut runner = Runner::new(model).unwrap();
    for op in ops {
        runner.step(op).unwrap();
    }
    runner
}

fn ops(text: &str) -> Vec<Op> {
    Script::parse_all("-", &text.replace("; ", "\n")).unwrap().remove(0).ops
}

fn key(set: RuleSet, text: &str) -> super::Key {
    let mut model = Model::of(Rules::from(set));
    View::of(&after(&mut model, &ops(text))).key()
}

fn same(set: RuleSet, left: &str, right: &str) -> bool {
    key(set, left) == key(set, right)
}

#[test]
fn names_and_stamps_are_left_out() {
    let set = RuleSet::Refcount;
    assert!(same(set, "read P", "write P; write P"));
    assert!(same(set, "fork P C; write P", "fork P D; write D"));
    assert!(same(set, "pin P W long p; pin P R long q", "pin P R long x; pin P W long y"));
    assert!(same(set, "fork P C; destroy P; write C", "read P"));
}

#[test]
fn what_matters_is_not() {
    let set = RuleSet::Refcount;
    assert!(!same(set, "read P", "write_protect P"));
    assert!(!same(set, "read P", "evict P"));
    assert!(!same(set, "pin P W long p", "pin P R long p"));
    assert!(!same(set, "pin P W long p", "pin P W long p uncounted"));
    assert!(!same(set, "fork P C; hold P", "fork P C; hold P; write P"));
    let gone = "pin P R long p; fork P C; write P; write C; ";
    assert!(!same(set, &format!("{gone}destroy P"), &format!("{gone}destroy C")));
    // The bytes of a short pin: those of its time, or older.
    let lost = "pin P W long w; write_protect P; write P; ";
    let old = format!("{lost}pin P R short p; dma_write w; unpin w; write P");
    assert!(!same(set, &old, &old.replace("short", "long")));
}

#[test]
fn what_a_rule_set_never_asks_is_left_out() {
    let durations = |set| same(set, "pin P R long p; destroy P", "pin P R short p; destroy P");
    assert!(durations(RuleSet::Exclusive) && !durations(RuleSet::ShortRead));
    let bit = |set| same(set, "write_protect P", "fork P C; destroy C");
    assert!(bit(RuleSet::SingleRefcount) && !bit(RuleSet::Exclusive));
    let order = |set| same(set, "pin P W long p; pin P R long q", "pin P R long q; pin P W long p");
    assert!(order(RuleSet::Exclusive) && !order(RuleSet::Wait));
}

/// What each operation of `then` shows after those of `before`.
fn findings(rules: Rules, before: &[Op], then: &[Op]) -> Vec<Outcome> {
    let mut model = Model::of(rules);
    let mut runner = after(&mut model, before);
    then.iter()
        .map(|op| {
            runner.forget_findings();
            runner.step(op).unwrap();
            Outcome { copies: 0, ..runner.outcome() }
        })
        .collect()
}

/// States with one key have one future: what can be shown in one step, and the keys of the states
/// that one step leads to, are the same for all scripts that were found to share a key. By
/// induction all longer futures are the same, too.
#[test]
fn states_with_one_key_have_one_future() {
    let mut rules: Vec<Rules> = RuleSet::ALL.into_iter().map(Rules::from).collect();
    rules.push(Rules { set: RuleSet::Exclusive, mutant: Some(Mutant::ForkIgnoresPins) });
    for rules in rules {
        let mut futures = HashMap::new();
        let mut met_again = 0;
        for seed in 0..120 {
            let script = Random::new(seed).script(1 + seed as usize % 14, LIMITS);
            let mut model = Model::of(rules);
            let runner = after(&mut model, &script);
            let living = Scope::of(
                runner.guests().map(|(name, ..)| (name.clone(), runner.hold(name).is_some())),
                runner.pins().map(|(name, pin, _)| (name.clone(), pin.direction())),
            );
            let key = View::of(&runner).key();
            let mut future: Vec<_> = moves(&living, LIMITS)
                .into_iter()
                .map(|op| {
                    let shown = findings(rules, &script, std::slice::from_ref(&op));
                    let mut model = Model::of(rules);
                    let path = [script.as_slice(), &[op]].concat();
                    let next = View::of(&after(&mut model, &path)).key();
                    format!("{shown:?} {next:?}")
                })
                .collect();
            future.sort();
            match futures.entry(key) {
                std::collections::hash_map::Entry::Vacant(place) => {
                    place.insert((future, script));
                }
                std::collections::hash_map::Entry::Occupied(known) => {
                    met_again += 1;
                    let (other, first) = known.get();
                    assert_eq!(&future, other, "{rules:?}:\n{first:?}\n{script:?}");
                }
            }
        }
        assert!(met_again > 10, "{rules:?}: {met_again}");
    }
}
