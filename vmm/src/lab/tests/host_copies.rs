//! Scripts on real guests where the kernel copies: what the model shows where the host copies, and in which rows
//! of the table that is something else.

use std::collections::BTreeMap;

use super::*;
use crate::guest::BackingKind;

/// Rows whose findings are not those of the table. Before Linux 5.9 a write reused a page that one page table
/// mapped, pinned or not. Here the kernel copies, since the image holds the page as well: what such a
/// write leaked stays with whom it belongs, and a pin in its way goes stale.
const OTHER: [(&str, RuleSet, &str); 7] = [
    ("A3", RuleSet::Mapcount, "ok"),
    ("A3s", RuleSet::Mapcount, "ok"),
    ("A5", RuleSet::Mapcount, "ok"),
    ("A6", RuleSet::Mapcount, "ok"),
    ("A11", RuleSet::Mapcount, "STALE"),
    ("H10", RuleSet::Mapcount, "ok"),
    ("G1", RuleSet::Mapcount, "STALE"),
];

/// The sets that leave first writes to the host.
fn sets() -> Vec<RuleSet> {
    RuleSet::ALL.into_iter().filter(|set| Rules::from(*set).let_host_copy()).collect()
}

fn guests(host: &Arc<crate::kvm::Host>, set: RuleSet, folder: &TempDir) -> RealGuests {
    let guests = RealGuests::new(host, Rules::from(set), folder.path()).unwrap();
    guests.backed_by(BackingKind::HostCow)
}

fn without_protection(script: &Script) -> bool {
    !script.ops.iter().any(|op| matches!(op, Op::WriteProtect(_)))
}

fn names(outcome: &Outcome) -> String {
    let shown = outcome.to_string();
    shown.split(' ').next().unwrap().to_owned()
}

#[test]
fn every_scenario_shows_what_the_model_shows_where_the_host_copies() {
    let Some(host) = host() else { return };
    let folder = folder();
    let (mut compared, mut left_out) = (0, BTreeMap::new());
    for set in sets() {
        let mut guests = guests(&host, set, &folder);
        for script in scenarios() {
            let context = format!("{} under {set}", script.id);
            let model = run(&script, &mut Model::where_host_copies(Rules::from(set)));
            let real = run(&script, &mut guests);
            if !without_protection(&script) {
                let error = real.unwrap_err();
                let RunError::Operation { source, .. } = error else {
                    panic!("{context}: {error}")
                };
                assert!(source.is_left_to_host(), "{context}: {source}");
                assert!(model.is_err(), "{context}");
                *left_out.entry(script.id).or_insert(0) += 1;
                continue;
            }
            let real = real.unwrap();
            assert_eq!(real, model.unwrap(), "{context}");
            let other = OTHER.iter().find(|(id, other, _)| script.id == *id && set == *other);
            let in_table = names(&on_model(&script, set));
            match other {
                Some((_, _, shown)) => {
                    assert_eq!((*shown, false), (&*names(&real), in_table == *shown))
                }
                None => assert_eq!(names(&real), in_table, "{context}"),
            }
            compared += 1;
        }
    }
    assert_eq!((compared, left_out.len(), left_out.values().sum::<u32>()), (114, 10, 60));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files stay behind");
}

#[test]
fn random_scripts_show_what_the_model_shows_where_the_host_copies() {
    let Some(host) = host() else { return };
    let folder = folder();
    for set in sets() {
        let mut guests = guests(&host, set, &folder);
        for seed in 0..random_scripts() {
            let mut script = Random::new(seed).script(30, LIMITS);
            script.retain(|op| !matches!(op, Op::WriteProtect(_)));
            compare(set, &script, Model::where_host_copies(Rules::from(set)), &mut guests);
        }
    }
}

/// The negative control. Where the rules are sound, what devices do without pins is a violation.
#[test]
fn devices_that_ignore_pins_are_found_where_the_host_copies() {
    let Some(host) = host() else { return };
    let folder = folder();
    for (pins, scenario, expected) in [
        (PinMode::LetGoAtOnce, "A8", &[Finding::Leak, Finding::Lost][..]),
        (PinMode::LetGoAtOnce, "H5", &[Finding::Leak, Finding::Lost]),
        (PinMode::AsItIs, "A9", &[Finding::Stale]),
        (PinMode::AsItIs, "A11", &[Finding::Stale]),
    ] {
        for set in [RuleSet::SingleRefcount, RuleSet::Exclusive] {
            let script = scenarios().into_iter().find(|script| script.id == scenario).unwrap();
            let outcome = run(&script, &mut guests(&host, set, &folder).with_pins(pins)).unwrap();
            let context = format!("{scenario} under {set} with {pins:?}: {outcome}");
            assert!(expected.iter().all(|it| outcome.findings.contains(it)), "{context}");
        }
    }
}

/// The test of the test: a model in which the rules answer first writes is another one.
#[test]
fn the_model_without_a_host_that_copies_is_told_apart() {
    let script = scenarios().into_iter().find(|script| script.id == "A1").unwrap();
    let copying = run(&script, &mut Model::where_host_copies(Rules::default())).unwrap();
    let deciding = on_model(&script, RuleSet::SingleRefcount);
    assert_eq!((copying.to_string(), deciding.to_string()), ("ok 2c".into(), "ok 1c".into()));
}
