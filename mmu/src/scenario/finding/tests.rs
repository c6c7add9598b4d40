use std::collections::BTreeSet;

use crate::scenario::{Finding, Outcome};

#[test]
fn findings_are_sorted_by_name() {
    let all = [
        Finding::Wait,
        Finding::Stale,
        Finding::Old,
        Finding::Lost,
        Finding::Leak,
        Finding::Corrupt,
        Finding::Busy,
    ];
    let outcome = Outcome { findings: BTreeSet::from(all), copies: 3 };
    assert_eq!(outcome.to_string(), "BUSY+CORRUPT+LEAK+LOST+OLD+STALE+WAIT 3c");
    assert_eq!(Outcome::default().to_string(), "ok 0c");
}
