//! Short runs on the real KVM: nothing is found under the rules, and something without each of them.

use std::sync::Arc;

use super::*;
use crate::kvm::tests::host;

fn plan(seconds: u64) -> Plan {
    Plan {
        seconds,
        seed: 7,
        set: RuleSet::default(),
        control: None,
        memory_bytes: 16 << 20,
        guests: 4,
        depth: 32,
        folder: std::env::current_dir().unwrap(),
    }
}

fn stress(host: &Arc<Host>, plan: &Plan) -> Report {
    run(host, plan, |_| true).unwrap()
}

#[test]
fn nothing_is_found_under_sound_rules() {
    let Some(host) = host() else { return };
    for set in [RuleSet::SingleRefcount, RuleSet::Exclusive] {
        let report = stress(&host, &Plan { set, ..plan(2) });
        assert!(report.is_clean(), "{set}: {report:?}");
        assert!(report.forks > 0 && report.transfers > 100, "{set}: {report:?}");
    }
}

/// Runs until something is found: seconds, unless the machine is very busy with other things.
fn assert_found(host: &Arc<Host>, plan: Plan) {
    let deadline = Instant::now() + Duration::from_secs(240);
    for seed in 0.. {
        let report = stress(host, &Plan { seed, ..plan.clone() });
        if !report.is_clean() {
            return;
        }
        assert!(Instant::now() < deadline, "{plan:?}: nothing was found: {report:?}");
    }
}

#[test]
fn control_the_rule_of_before_5_9_is_found() {
    let Some(host) = host() else { return };
    assert_found(&host, Plan { set: RuleSet::Mapcount, ..plan(10) });
}

#[test]
fn control_each_rule_that_is_switched_off_is_found() {
    let Some(host) = host() else { return };
    for control in [
        Control::UnpinAtSubmission,
        Control::PinWithoutBreakingCow,
        Control::NoEarlyCopy,
        Control::MapAtSubmission,
    ] {
        assert_found(&host, Plan { control: Some(control), ..plan(10) });
    }
}
