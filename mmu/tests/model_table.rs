//! The table of outcomes: every scenario under every rule set, on the pure model.

use pincow_mmu::rules::{RuleSet, Rules};
use pincow_mmu::scenario::{Model, Script, run};

#[test]
fn x() {
    let scripts = Script::parse_all("all.scn", include_str!("../../tests/scenarios/all.scn")).unwrap();
    for line in include_str!("../../tests/scenarios/table.txt").lines() {
        if line.starts_with('#') || line.trim().is_empty() { continue; }
        let cells: Vec<_> = line.split_whitespace().collect();
        let Some(script) = scripts.iter().find(|s| s.id == cells[0]) else { continue };
        let set: RuleSet = cells[1].parse().unwrap();
        let outcome = run(script, &mut Model::of(Rules::from(set))).unwrap();
        let mut f: Vec<_> = outcome.findings.iter().map(|f| f.to_string()).collect();
        f.sort();
        let f = if f.is_empty() { "ok".into() } else { f.join("+") };
        if (f.as_str(), format!("{}c", outcome.copies).as_str()) != (cells[2], cells[3]) {
            println!("{line} -> {f} {}", outcome.copies);
        }
    }
}
