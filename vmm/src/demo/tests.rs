//! A small demo on the real KVM, and the shape of what it says.

use std::sync::Arc;

use pincow_mmu::rules::RuleSet;

use super::*;
use crate::guest::tests::everywhere;
use crate::kvm::tests::host;

struct Nobody;

impl Audience for Nobody {
    fn step(&mut self, _: &str, _: u32, _: u32) {}
}

fn small(sharing: impl Into<Sharing>, vcpus: u32) -> Plan {
    let sharing = sharing.into();
    Plan { memory_bytes: 32 << 20, vcpus, sharing, table_bytes: 4 << 20, clones: 4, forks: 3 }
}

fn show(host: &Arc<Host>, plan: &Plan) -> Report {
    let report = run(host, plan, &mut Nobody).unwrap();
    // What is known of a set may show when transfers are in flight, and nothing else may.
    if plan.sharing.rules.set.known_findings().is_empty() {
        assert_eq!(report.violations, Vec::<String>::new());
    }
    report
}

#[test]
fn every_rule_set_shows_the_whole_demo() {
    let Some(host) = host() else { return };
    for sharing in everywhere(&RuleSet::ALL) {
        let report = show(&host, &Plan { clones: 2, forks: 2, ..small(sharing, 1) });
        assert_eq!((report.clones_ok, report.forks_ok), (2, 2), "{sharing:?}");
        assert!(report.forked_mid_run >= 1, "{sharing:?}: {}", report.forked_mid_run);
        // Other tests of this process make what it has in memory a random number.
        assert!(report.memory.frames < report.memory.as_if_copied / 10, "{sharing:?}");
        let refuses = matches!(sharing.rules.set, RuleSet::Busy | RuleSet::Wait);
        assert!(report.io.in_flight.len() == 2 || refuses && report.io.refused > 0, "{sharing:?}");
    }
}

#[test]
fn both_sides_of_a_fork_get_what_was_in_flight() {
    let Some(host) = host() else { return };
    let io = show(&host, &small(RuleSet::default(), 1)).io;
    assert_eq!((io.in_flight.len(), io.forks_ok, io.refused), (3, 3, 0));
    assert!(io.in_flight.iter().all(|transfers| *transfers > 0), "{:?}", io.in_flight);
    assert!(io.requests > 0);
    assert_eq!((io.completed, io.reissued), (io.requests, io.requests));
}

#[test]
fn guests_with_two_vcpus_are_forked_too() {
    let Some(host) = host() else { return };
    let report = show(&host, &small(RuleSet::default(), 2));
    assert_eq!((report.clones_ok, report.forks_ok), (4, 3));
}

#[test]
fn a_guest_that_is_too_small_is_refused() {
    let Some(host) = host() else { return };
    let plan = Plan { memory_bytes: 4 << 20, ..small(RuleSet::default(), 1) };
    assert!(matches!(run(&host, &plan, &mut Nobody), Err(DemoError::TooSmall { .. })));
}
