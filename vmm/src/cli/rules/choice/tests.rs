//! What `--rules` chooses.

use super::*;

fn choose(text: &str) -> Result<Vec<RuleSet>, NotAChoice> {
    let choices: Result<Vec<SetChoice>, _> = text.split(',').map(str::parse).collect();
    choices.map(|choices| chosen(&choices))
}

#[test]
fn sets_come_in_the_order_of_the_choice_and_once() {
    assert_eq!(choose("wait,busy,wait").unwrap(), [RuleSet::Wait, RuleSet::Busy]);
    assert_eq!(choose("all").unwrap(), RuleSet::ALL);
    let wait_first = choose("wait,all").unwrap();
    assert_eq!((wait_first[0], wait_first.len()), (RuleSet::Wait, 9));
}

#[test]
fn an_unknown_set_is_refused_with_those_that_there_are() {
    let refused = choose("busy,nonsense").unwrap_err().to_string();
    assert!(refused.contains("`nonsense`"), "{refused}");
    assert!(refused.contains("single-refcount") && refused.contains("`all`"), "{refused}");
    assert!(choose("").is_err());
}
