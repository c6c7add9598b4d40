//! The main job, as a user runs it, and what it promises in its JSON.

use std::path::Path;

use pincow_tests::Pincow;

/// What each clone writes: sixteen pages of its own, and its stack.
const WRITTEN_BY_A_CLONE: u64 = 17 * 4096;

/// What a clone may cost beside the pages that it writes, in bytes.
const OVERHEAD_OF_A_CLONE: u64 = 64 << 10;

fn has_kvm() -> bool {
    let there = Path::new("/dev/kvm").exists();
    if !there {
        println!("skipped: there is no /dev/kvm here");
    }
    there
}

#[test]
fn the_demo_keeps_its_promises() {
    if !has_kvm() {
        return;
    }
    let ran = Pincow::new(&["demo", "--json"]).run();
    let report = ran.json();
    assert_eq!(ran.status, Some(0), "{report}");
    let number = |path: &str| report.pointer(path).unwrap().as_f64().unwrap();
    assert_eq!((number("/clones"), number("/clones_ok")), (100.0, 100.0));
    assert_eq!((number("/forks"), number("/forks_ok")), (8.0, 8.0));
    assert_eq!(number("/violations"), 0.0);
    assert!(number("/forked_mid_run") >= 4.0, "{report}");
    for path in ["/clone_us/p50", "/clone_us/p99", "/fork_us/p50", "/fork_us/p99"] {
        assert!(number(path) > 0.0, "{path}: {report}");
    }
    for path in ["/transfers_in_flight_at_fork/p50", "/io/requests_in_flight"] {
        assert!(number(path) > 0.0, "{path}: {report}");
    }
    assert!(
        number("/transfers_in_flight_at_fork/p50") <= number("/transfers_in_flight_at_fork/max")
    );
    assert_eq!((number("/io/forks"), number("/io/forks_ok")), (8.0, 8.0));
    for path in ["/io/completed_in_parents", "/io/reissued_in_children"] {
        assert_eq!(number(path), number("/io/requests_in_flight"), "{path}: {report}");
    }
    for path in ["/frames/shared", "/frames/private", "/frames/copied"] {
        assert!(number(path) > 0.0, "{path}: {report}");
    }
    assert_eq!((&report["backing"], number("/frames/reused")), (&"hostcow".into(), 0.0));
    let most = 100 * (WRITTEN_BY_A_CLONE * 11 / 10 + OVERHEAD_OF_A_CLONE);
    let unique = number("/memory_bytes/unique");
    assert!(unique > 0.0 && unique <= most as f64, "{unique} bytes, at most {most}");
    assert!(unique < number("/memory_bytes/as_if_copied") / 50.0);
}

#[test]
fn guests_with_several_vcpus_and_other_rules_are_shown_too() {
    if !has_kvm() {
        return;
    }
    for rules in ["exclusive", "mapcount"] {
        let args = ["demo", "--vcpus", "2", "--clones", "4", "--forks", "2", "--unsafe", "--rules"];
        let ran = Pincow::new(&[&args[..], &[rules]].concat()).run();
        // What is known of `mapcount` may show, and is an error then.
        let found = rules == "mapcount" && ran.stdout.contains("VIOLATION");
        assert_eq!(ran.status, Some(i32::from(found)), "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("4 of 4"), "{}", ran.stdout);
        assert!(ran.stdout.contains("2 of 2"), "{}", ran.stdout);
        assert_eq!(ran.stdout.contains("is known for"), rules == "mapcount", "{}", ran.stdout);
    }
}

#[test]
fn the_same_is_shown_where_the_rules_answer_each_write() {
    if !has_kvm() {
        return;
    }
    let args = ["demo", "--backing", "trap", "--clones", "20", "--json"];
    let ran = Pincow::new(&args).run();
    let report = ran.json();
    assert_eq!(ran.status, Some(0), "{report}");
    let number = |path: &str| report.pointer(path).unwrap().as_f64().unwrap();
    assert_eq!((&report["backing"], number("/violations")), (&"trap".into(), 0.0));
    assert_eq!((number("/clones_ok"), number("/forks_ok")), (20.0, 8.0), "{report}");
    assert_eq!(number("/io/completed_in_parents"), number("/io/requests_in_flight"));
    for path in [
        "/io/requests_in_flight",
        "/frames/shared",
        "/frames/private",
        "/frames/copied",
        "/frames/reused",
    ] {
        assert!(number(path) > 0.0, "{path}: {report}");
    }
    let most = 20 * (WRITTEN_BY_A_CLONE * 11 / 10 + OVERHEAD_OF_A_CLONE);
    let unique = number("/memory_bytes/unique");
    assert!(unique > 0.0 && unique <= most as f64, "{unique} bytes, at most {most}");
}

#[test]
fn the_console_talks_to_guests_and_their_forks() {
    if !has_kvm() {
        return;
    }
    let lines = "ping\nfill 0x400 8 7\nfork\nguest 2\nfill 0x400 8 9\nguest 1\ncheck 0x400 8 7\n\
                 guest 2\ncheck 0x400 8 7\nnonsense\nputs\nexit 3\n";
    let ran = Pincow::new(&["run"]).input(lines).run();
    assert_eq!(ran.status, Some(3), "{}", ran.stderr);
    assert!(ran.stdout.starts_with("pincow guest: 1 vCPU, 64 MiB"), "{}", ran.stdout);
    for words in
        ["guest 1: is there", "all words are right", "words differ", "`nonsense` is not understood"]
    {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
}

#[test]
fn a_guest_that_panics_or_crashes_says_so_in_its_exit_status() {
    if !has_kvm() {
        return;
    }
    for (line, status, reason) in [("panic\n", 101, "exit"), ("fault\n", 128, "shutdown")] {
        let ran = Pincow::new(&["run", "--json"]).input(line).run();
        assert_eq!(ran.status, Some(status), "{}", ran.stderr);
        assert_eq!(ran.json()["reason"], reason);
    }
}
