//! Every reachable state of every rule set and mutant at two guests and two pins: with optimisation
//! only (`cargo test --release -p pincow-mmu --test explore_full`), where it takes about a minute.

use std::time::{Duration, Instant};

use pincow_mmu::rules::{Mutant, RuleSet, Rules};
use pincow_mmu::scenario::{Explored, Explorer, Finding, Limits};

fn explore(rules: Rules, holds: bool) -> Explored {
    let limits = Limits { guests: 2, pins: 2, uncounted: false, holds };
    let explored = Explorer::new(rules, limits).run(|_, _| true).expect("no operation fails");
    assert!(explored.complete);
    explored
}

fn violations(explored: &Explored) -> Vec<Finding> {
    explored.findings.keys().copied().filter(|finding| finding.is_violation()).collect()
}

#[test]
#[cfg_attr(debug_assertions, ignore = "too slow without optimisation")]
fn every_rule_set_shows_what_is_known_of_it() {
    use Finding::{Leak, Lost, Stale};
    for set in RuleSet::ALL {
        let expected = match set {
            RuleSet::Literal | RuleSet::Busy => vec![Stale],
            RuleSet::Refcount | RuleSet::PinBias => vec![Lost, Stale],
            RuleSet::Mapcount => vec![Leak, Lost, Stale],
            _ => Vec::new(),
        };
        assert_eq!(violations(&explore(set.into(), false)), expected, "{set}");
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "too slow without optimisation")]
fn the_sound_sets_are_clean_with_host_references_in_under_a_minute() {
    for set in [RuleSet::SingleRefcount, RuleSet::Exclusive, RuleSet::ShortRead, RuleSet::Wait] {
        let begun = Instant::now();
        let explored = explore(set.into(), true);
        assert_eq!(violations(&explored), [], "{set}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{set}: {:?}", begun.elapsed());
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "too slow without optimisation")]
fn every_mutant_is_caught() {
    for mutant in Mutant::ALL {
        let rules = Rules { set: RuleSet::Exclusive, mutant: Some(mutant) };
        let limits = Limits { guests: 2, pins: 2, uncounted: false, holds: false };
        // The shortest violations are few steps away: no need to see all of what follows.
        let explorer = Explorer::new(rules, limits).at_most(20_000);
        let explored = explorer.run(|_, _| true).expect("no operation fails");
        assert!(!violations(&explored).is_empty(), "{mutant}");
    }
}
