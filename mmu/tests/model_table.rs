//! The table of outcomes: every scenario under every rule set, on the pure model.

use pincow_mmu::rules::{RuleSet, Rules};
use pincow_mmu::scenario::{Model, Script, run};

const SCENARIOS: &str = include_str!("../../tests/scenarios/all.scn");
const TABLE: &str = include_str!("../../tests/scenarios/table.txt");

#[test]
fn every_outcome_of_the_table_is_reproduced_on_the_model() {
    let scripts = Script::parse_all("all.scn", SCENARIOS).unwrap();
    let mut compared = 0;
    let mut mismatches = Vec::new();
    for row in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let cells: Vec<_> = row.split_whitespace().collect();
        let script = scripts.iter().find(|script| script.id == cells[0]).unwrap();
        let set: RuleSet = cells[1].parse().unwrap();
        let shown = run(script, &mut Model::of(Rules::from(set))).unwrap().to_string();
        let expected = cells[2..].join(" ");
        if shown != expected {
            mismatches.push(format!("{} under {set}: {shown}, not {expected}", script.id));
        }
        compared += 1;
    }
    assert_eq!(compared, 29 * 9, "the table has every scenario under every rule set");
    assert!(mismatches.is_empty(), "{}", mismatches.join("\n"));
}

/// The test of the test: the table does not fit a rule set that is not the one it names.
#[test]
fn the_table_tells_the_rule_sets_apart() {
    let column = |name: RuleSet| -> Vec<_> {
        TABLE
            .lines()
            .map(|row| row.split_whitespace().collect::<Vec<_>>())
            .filter(|cells| cells.get(1).is_some_and(|set| *set == name.to_string()))
            .map(|cells| cells[2..].to_vec())
            .collect()
    };
    for (at, left) in RuleSet::ALL.into_iter().enumerate() {
        for right in RuleSet::ALL.into_iter().skip(at + 1) {
            // A bias that no script of a few pins can reach is an exact count; and the price of a
            // short pin on a shared page (OLD) is in no scenario that ends well elsewhere.
            let alike =
                [(RuleSet::Refcount, RuleSet::PinBias), (RuleSet::Exclusive, RuleSet::ShortRead)];
            let same = column(left) == column(right);
            assert_eq!(same, alike.contains(&(left, right)), "{left} and {right}");
        }
    }
}
