//! What is asked for, and how it is told.

use super::*;

#[test]
fn mutants_are_of_exclusive_only() {
    for mutant in Mutant::ALL {
        assert!(rules(RuleSet::Exclusive, Some(mutant)).is_ok());
        let refused = rules(RuleSet::Refcount, Some(mutant)).unwrap_err().to_string();
        assert!(refused.contains("--rules exclusive"), "{refused}");
        assert!(mutant_help().contains(&mutant.to_string()));
    }
    assert!(RuleSet::ALL.iter().all(|set| rules(*set, None).is_ok()));
}

#[test]
fn a_script_has_a_line_for_each_operation() {
    let ops = [Op::Write("P".into()), Op::Read("P".into())];
    assert_eq!(text(&ops), "write P\nread P\n");
}
