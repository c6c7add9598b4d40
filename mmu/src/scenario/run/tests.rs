use std::collections::BTreeSet;

use crate::scenario::fakes::{Fake, Fault};
use crate::scenario::{Limits, Random, Refusal, RunError, Runner, Script, Step, run};

const BUSY: Option<Refusal> = Some(Refusal::Busy);
const WAIT: Option<Refusal> = Some(Refusal::Wait);

fn script(text: &str) -> Script {
    Script::parse_all("-", &text.replace("; ", "\n")).unwrap().remove(0)
}

/// The outcome of `text` on `place`, which must be left empty.
fn outcome(place: &mut Fake, text: &str) -> String {
    let outcome = run(&script(text), place).unwrap();
    assert_eq!(place.alive, 0);
    outcome.to_string()
}

#[test]
fn a_place_that_shares_nothing_shows_nothing() {
    let limits = Limits { guests: 4, pins: 4, uncounted: true, holds: true };
    for seed in 0..500 {
        let script = Script::new("random", Random::new(seed).script(60, limits));
        let mut place = Fake::default();
        let outcome = run(&script, &mut place).unwrap();
        assert!(outcome.findings.is_empty(), "seed {seed}: {outcome}\n{script}");
        assert_eq!(place.alive, 0);
    }
}

/// The test of the tests: whatever a place does wrong, random scripts see it.
#[test]
fn a_place_that_is_wrong_is_seen() {
    let limits = Limits { guests: 3, pins: 2, uncounted: false, holds: false };
    for (fault, expected) in [
        (Fault::SharesEverything, "LEAK"),
        (Fault::LosesDeviceWrites, "LOST"),
        (Fault::LosesCpuWrites, "CORRUPT"),
        (Fault::ReadsInitial, "STALE"),
        (Fault::Tears, "LEAK"),
    ] {
        let seen = (0..20).any(|seed| {
            let script = Script::new("random", Random::new(seed).script(60, limits));
            let outcome = run(&script, &mut Fake::with(fault)).unwrap();
            outcome.to_string().contains(expected)
        });
        assert!(seen, "{fault:?} shows no {expected}");
    }
}

#[test]
fn the_scenarios_of_the_table_are_quiet_where_nothing_is_shared() {
    let text = include_str!("../../../../tests/scenarios/all.scn");
    let mut place = Fake::default();
    for script in Script::parse_all("all.scn", text).unwrap() {
        assert!(run(&script, &mut place).unwrap().findings.is_empty(), "{}", script.id);
    }
}

#[test]
fn the_table_has_every_scenario_under_every_rule_set() {
    let scenarios =
        Script::parse_all("-", include_str!("../../../../tests/scenarios/all.scn")).unwrap();
    let table = include_str!("../../../../tests/scenarios/table.txt");
    let rows: BTreeSet<_> = table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .map(|columns| (columns[0], columns[1]))
        .collect();
    let sets: BTreeSet<_> = rows.iter().map(|(_, set)| *set).collect();
    assert_eq!((scenarios.len(), sets.len(), rows.len()), (29, 9, 29 * 9));
    for script in &scenarios {
        assert!(sets.iter().all(|set| rows.contains(&(script.id.as_str(), *set))), "{}", script.id);
    }
}

#[test]
fn the_shortest_leak() {
    let mut place = Fake::with(Fault::SharesEverything);
    assert_eq!(outcome(&mut place, "fork P C; write P; read C"), "LEAK 0c");
}

#[test]
fn copies_are_those_of_the_scenario() {
    let mut place = Fake::default();
    assert_eq!(outcome(&mut place, "fork P C; fork C D"), "ok 2c");
    assert_eq!(outcome(&mut place, "fork P C"), "ok 1c");
}

#[test]
fn a_refused_operation_is_skipped_with_all_that_needs_it() {
    let mut place = Fake::default().refusing(&[BUSY]);
    let text = "fork P C; write C; fork C D; pin D W long p; dma_write p; unpin p; read P; \
                destroy C; fork P C; read C";
    assert_eq!(outcome(&mut place, text), "BUSY 1c");
    assert_eq!(place.transfers, "");
    assert_eq!(
        outcome(&mut Fake::default().refusing(&[BUSY]), "hold P; release P; hold P"),
        "BUSY 0c"
    );
}

#[test]
fn busy_is_not_tried_again() {
    let mut place = Fake::default().refusing(&[BUSY, BUSY]);
    assert_eq!(outcome(&mut place, "pin P W long p; evict P"), "BUSY 0c");
    assert_eq!(place.refusals, [BUSY]);
    assert_eq!(place.transfers, "");
}

#[test]
fn wait_drains_all_pins_in_order_and_tries_once_more() {
    let text = "pin P W long p; pin P R short q; pin P W short r uncounted; evict P; dma_write p; \
                unpin q; read P";
    let mut place = Fake::default().refusing(&[WAIT]);
    assert_eq!(outcome(&mut place, text), "WAIT 0c");
    assert_eq!(place.transfers, "WRW");

    let mut place = Fake::default().refusing(&[WAIT, WAIT, WAIT]);
    assert_eq!(outcome(&mut place, text), "WAIT 0c");
    assert_eq!(place.refusals, [WAIT]);

    assert_eq!(outcome(&mut Fake::default().refusing(&[WAIT, BUSY]), text), "BUSY+WAIT 0c");
}

#[test]
fn a_drain_is_checked() {
    let mut place = Fake::with(Fault::LosesDeviceWrites).refusing(&[WAIT]);
    assert_eq!(outcome(&mut place, "pin P W long p; evict P; read P"), "LOST+WAIT 0c");
    let mut place = Fake::with(Fault::SharesEverything).refusing(&[None, WAIT]);
    let text = "pin P R long p; fork P C; write C; evict P";
    assert_eq!(outcome(&mut place, text), "LEAK+WAIT 0c");
}

#[test]
fn the_name_of_a_drained_pin_can_be_used_again() {
    let text = "pin P W long p; evict P; unpin p; pin P W long p; dma_write p; read P";
    let mut place = Fake::default().refusing(&[WAIT]);
    assert_eq!(outcome(&mut place, text), "WAIT 0c");
    assert_eq!(place.transfers, "WW");
}

#[test]
fn pins_outlive_their_guest_and_not_the_scenario() {
    let text = "fork P C; hold C; pin C W long p; destroy C; dma_write p; fork P C; read C";
    assert_eq!(outcome(&mut Fake::default(), text), "ok 2c");
}

#[test]
fn steps_tell_what_became_of_them() {
    let script = script("fork P C; read C; read P");
    let mut place = Fake::default().refusing(&[BUSY]);
    let mut runner = Runner::new(&mut place).unwrap();
    let steps: Vec<_> = script.ops.iter().map(|op| runner.step(op).unwrap()).collect();
    assert_eq!(steps, [Step::Refused, Step::Skipped, Step::Done]);
    assert_eq!(runner.guests().len(), 1);
    assert_eq!(runner.finish().unwrap().to_string(), "BUSY 0c");
}

#[test]
fn what_lives_can_be_looked_at_and_disturbed() {
    let mut place = Fake::default();
    let mut runner = Runner::new(&mut place).unwrap();
    for op in script("hold P; fork P C; pin C W long p; dma_write p").ops {
        runner.step(&op).unwrap();
    }
    assert_eq!(runner.guests().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), ["C", "P"]);
    assert_eq!(runner.holds().map(|(name, ())| name.as_str()).collect::<Vec<_>>(), ["P"]);
    let (_, _, owner) = runner.guests().next().unwrap();
    let (name, _, record) = runner.pins().next().unwrap();
    assert_eq!((name.as_str(), record.owner), ("p", owner));
    let written = runner.checker().memory(owner).ideal.a;
    assert!(runner.checker().memory(owner).held_in_a(written));
    assert_eq!(runner.place().alive, 4);

    runner.place_mut().fault = Fault::Tears;
    runner.step(&script("read P").ops[0]).unwrap();
    assert_eq!(runner.finish().unwrap().to_string(), "LEAK 1c");
}

#[test]
fn a_place_that_breaks_ends_the_run() {
    let error = run(&script("read P; evict P"), &mut Fake::with(Fault::Breaks)).unwrap_err();
    assert!(matches!(error, RunError::Operation { line: 2, .. }));
    assert_eq!(error.to_string(), "scenario -, line 2: `evict P` failed");
}
