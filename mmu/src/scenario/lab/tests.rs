use crate::rules::{Mutant, RuleSet, Rules};
use crate::scenario::{Finding, Limits, Model, Random, Runner, Script, run};

const LIMITS: Limits = Limits { guests: 3, pins: 3, uncounted: true, holds: true };

/// The law of conservation after every operation of random scripts, under every rule set: also the
/// wrong ones count right.
#[test]
fn every_reference_is_counted_under_every_rule_set() {
    for set in RuleSet::ALL {
        for seed in 0..60 {
            let mut model = Model::of(Rules::from(set));
            let mut runner = Runner::new(&mut model).unwrap();
            for op in Random::new(seed).script(40, LIMITS) {
                runner.step(&op).unwrap();
                runner.place().assert_conserved(
                    runner.pins().map(|(_, pin, _)| pin),
                    runner.holds().map(|(_, hold)| hold),
                );
            }
            runner.finish().unwrap();
            assert_eq!(model.family().backing().objects(), (0, 0, 0), "{set}, seed {seed}");
        }
    }
}

/// The test of the test: a pin that nobody tells of.
#[test]
#[should_panic = "the law of conservation is broken"]
fn a_pin_that_is_not_told_of_is_missed() {
    let mut model = Model::of(Rules::default());
    let mut runner = Runner::new(&mut model).unwrap();
    for op in Script::parse_all("-", "pin P W long p").unwrap().remove(0).ops {
        runner.step(&op).unwrap();
    }
    runner.place().assert_conserved([], runner.holds().map(|(_, hold)| hold));
}

/// Random scripts alone tell the sound sets from all others and from the mutants.
#[test]
fn random_scripts_find_what_is_wrong() {
    let limits = Limits { guests: 2, pins: 2, uncounted: false, holds: false };
    let violated = |rules: Rules| {
        (0..400).any(|seed| {
            let script = Script::new("random", Random::new(seed).script(40, limits));
            let outcome = run(&script, &mut Model::of(rules)).unwrap();
            outcome.findings.into_iter().any(Finding::is_violation)
        })
    };
    for set in RuleSet::ALL {
        assert_eq!(violated(set.into()), !set.known_findings().is_empty(), "{set}");
    }
    for mutant in Mutant::ALL {
        let rules = Rules { set: RuleSet::Exclusive, mutant: Some(mutant) };
        assert!(violated(rules), "{mutant}");
    }
}
