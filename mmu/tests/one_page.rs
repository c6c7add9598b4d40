//! The core against an independent model of one page, over random scripts: the same findings and
//! copies after every single operation.

mod reference;

use pincow_mmu::rules::{RuleSet, Rules};
use pincow_mmu::scenario::{Limits, Model, Op, Outcome, Place, Random, Runner, Script};
use reference::{Reference, Twist};

const SCRIPTS: u64 = 600;

fn outcomes<P: Place>(place: &mut P, ops: &[Op]) -> Vec<Outcome> {
    let mut runner = Runner::new(place).expect("a first guest");
    let after = |op| {
        runner.step(op).expect("nothing fails but by the rules");
        runner.outcome()
    };
    let outcomes = ops.iter().map(after).collect();
    runner.finish().expect("guests can be taken down");
    outcomes
}

/// The first script on which the core and the reference disagree.
fn disagreement(set: RuleSet, twist: Twist, scripts: u64, limits: Limits) -> Option<Script> {
    (0..scripts).find_map(|seed| {
        let ops = Random::new(seed).script(40, limits);
        let core = outcomes(&mut Model::of(Rules::from(set)), &ops);
        let reference = outcomes(&mut Reference::new(set, twist), &ops);
        let at = core.iter().zip(&reference).position(|(core, other)| core != other)?;
        let title = format!("{set}, seed {seed}: {} and {}", core[at], reference[at]);
        Some(Script::new(title, ops[..=at].to_vec()))
    })
}

#[test]
fn the_core_does_what_an_independent_model_does() {
    for set in RuleSet::ALL {
        for (guests, pins) in [(2, 2), (4, 4)] {
            for uncounted in [false, true] {
                let limits = Limits { guests, pins, uncounted, holds: true };
                if let Some(script) = disagreement(set, Twist::None, SCRIPTS, limits) {
                    panic!("the core and the reference disagree:\n{script}");
                }
            }
        }
    }
}

/// The test of the test: whatever the reference does differently is seen, in every set where it
/// makes a difference.
#[test]
fn every_twist_of_the_reference_is_seen() {
    let limits = Limits { guests: 3, pins: 3, uncounted: true, holds: true };
    for set in RuleSet::ALL {
        for twist in [Twist::HoldsDoNotCount, Twist::SwapDoesNotCount, Twist::CopyForgets] {
            let seen = disagreement(set, twist, SCRIPTS, limits).is_some();
            // Mapcount asks for maps alone, and (for the swap) not for references.
            let blind = set == RuleSet::Mapcount && twist == Twist::HoldsDoNotCount;
            assert_eq!(seen, !blind, "{set} with {twist:?}");
        }
    }
}
