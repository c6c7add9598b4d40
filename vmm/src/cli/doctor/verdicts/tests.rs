//! What can run where something is missing.

use super::*;

fn working(no_kvm: Option<&str>, no_trap: Option<&str>) -> Vec<&'static str> {
    let verdicts = Verdicts::new(no_kvm, no_trap);
    let works = |verdict: &&Verdict| verdict.works;
    verdicts.iter().filter(works).map(|verdict| verdict.command).collect()
}

#[test]
fn guests_need_both_and_scripts_on_memory_one() {
    assert_eq!(working(None, None).len(), 6);
    assert_eq!(working(Some("no KVM"), None), ["rules run --on memory", "rules"]);
    assert_eq!(working(None, Some("no faults")), ["rules"]);
    assert!(!Verdicts::new(None, Some("no faults")).demo_works());
    assert!(Verdicts::new(None, None).demo_works());
}

#[test]
fn everything_that_is_missing_is_named() {
    let verdicts = Verdicts::new(Some("no KVM"), Some("no faults"));
    let demo = verdicts.iter().find(|verdict| verdict.command == DEMO).unwrap();
    let missing: Vec<_> = demo.missing.iter().map(|it| (it.what, it.why.as_str())).collect();
    assert_eq!(missing, [("KVM", "no KVM"), ("userfaultfd", "no faults")]);
}
