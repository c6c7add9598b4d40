//! `pincow stress`, as a user runs it.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Command;

use pincow_tests::Pincow;
use serde_json::{Value, json};

/// Where the disks are: a file system on which transfers can be made directly.
const HERE: &str = env!("CARGO_TARGET_TMPDIR");

fn stress(args: &[&str]) -> Option<Pincow> {
    if !Path::new("/dev/kvm").exists() {
        println!("skipped: this machine has no /dev/kvm");
        return None;
    }
    let always = ["stress", "--memory", "16M", "--dir", HERE];
    let few: &[_] = if args.contains(&"--guests") { &[] } else { &["--guests", "4"] };
    Some(Pincow::new(&[&always, few, args].concat()))
}

/// Enough for what is switched off to be found, also where a CPU is emulated and busy: few guests and few transfers,
/// which are very late, so that a guest comes back to the pages of each between a fork and its end.
const FINDING: [&str; 10] =
    ["--guests", "2", "--depth", "8", "--late", "800", "--decisions", "60", "--seconds", "120"];

fn number(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("no {name} in {report}"))
}

/// Nothing of a run has a name after it.
fn assert_nothing_left() {
    let left = Path::new(HERE).read_dir().unwrap().map(|entry| entry.unwrap().file_name());
    let disks = left.filter(|name| name.to_string_lossy().contains("pincow-stress"));
    assert_eq!(disks.count(), 0);
}

/// Nor does the process have more than before it.
fn assert_nothing_left_in(report: &Value) {
    let left = &report["process"]["left"];
    assert_eq!((number(left, "threads"), number(left, "files")), (0, 0), "{report}");
    assert_nothing_left();
}

#[test]
fn a_report_has_what_a_machine_reads() {
    let Some(run) = stress(&["--seconds", "4", "--seed", "3", "--json"]) else { return };
    let ran = run.run();
    assert_eq!(ran.status, Some(0), "{}{}", ran.stdout, ran.stderr);
    let report = ran.json();
    assert_eq!((number(&report, "seed"), &report["rules"]), (3, &"single-refcount".into()));
    assert!(number(&report, "forks") > 0 && number(&report, "transfers") > 0, "{report}");
    for name in [
        "bytes",
        "guests_peak",
        "early_copies",
        "reissued",
        "evictions",
        "discards",
        "forks_with_none",
        "sectors_read_back",
        "sectors_verified",
    ] {
        number(&report, name);
    }
    let in_flight = &report["in_flight_at_fork"];
    assert!(number(in_flight, "p50") <= number(in_flight, "max"), "{report}");
    assert_eq!(report["findings"], json!({}));
    assert_eq!((&report["first_finding"], &report["switched_off"]), (&Value::Null, &json!([])));
    assert_nothing_left_in(&report);
}

#[test]
fn nothing_is_found_where_the_host_copies_pages() {
    // As much on any machine: an emulated one decided 44 times in 8 seconds, and discarded nothing.
    let much = ["--decisions", "80", "--seconds", "120", "--seed", "3", "--json"];
    let args = [&["--backing", "hostcow"], &much[..]].concat();
    let Some(run) = stress(&args) else { return };
    let ran = run.run();
    assert_eq!(ran.status, Some(0), "{}{}", ran.stdout, ran.stderr);
    let report = ran.json();
    assert_eq!((&report["backing"], &report["findings"]), (&"hostcow".into(), &json!({})));
    for name in ["forks", "transfers", "early_copies", "discards", "sectors_verified"] {
        assert!(number(&report, name) > 0, "{name}: {report}");
    }
    assert_nothing_left_in(&report);
}

#[test]
fn what_is_switched_off_is_named_and_what_is_found_is_told_in_full() {
    for backing in ["trap", "hostcow"] {
        found_and_told(backing);
    }
}

fn found_and_told(backing: &str) {
    let control = ["--control", "pin-without-breaking-cow", "--backing", backing];
    let Some(run) = stress(&[&FINDING[..], &control, &["--json"]].concat()) else { return };
    let ran = run.run();
    assert_eq!(ran.status, Some(1), "{}{}", ran.stdout, ran.stderr);
    let report = ran.json();
    assert_eq!(report["switched_off"][0], "control pin-without-breaking-cow");
    assert!(ran.stderr.contains("switched off: control pin-without-breaking-cow"));
    let findings = report["findings"].as_object().unwrap();
    let first = &report["first_finding"];
    assert!(findings.contains_key(first["kind"].as_str().unwrap()), "{report}");
    number(first, "guest");
    assert!(first["gfn"].is_u64() || first["sector"].is_u64(), "{report}");
    assert!(first["expected"].is_string() && first["found"].is_string(), "{report}");
}

#[test]
fn the_text_says_the_same() {
    let rules = ["--rules", "mapcount", "--unsafe"];
    let Some(run) = stress(&[&FINDING[..], &rules].concat()) else { return };
    let ran = run.run();
    assert_eq!(ran.status, Some(1), "{}{}", ran.stdout, ran.stderr);
    for words in [
        "off        rules mapcount",
        "FOUND      ",
        "first      ",
        " expected ",
        "verdict    found",
    ] {
        assert!(ran.stdout.contains(words), "no `{words}` in {}", ran.stdout);
    }
}

#[test]
fn a_seed_and_a_number_of_decisions_decide_the_same() {
    let report = |seed: &str| {
        let args = ["--seconds", "600", "--decisions", "25", "--seed", seed, "--json"];
        Some(stress(&args)?.run().json())
    };
    let (Some(one), Some(same), Some(other)) = (report("5"), report("5"), report("6")) else {
        return;
    };
    let decided = |report: &Value| (number(report, "decisions"), number(report, "decisions_crc32"));
    assert_eq!(decided(&one), decided(&same));
    assert_eq!(number(&one, "forks"), number(&same, "forks"));
    assert_ne!(decided(&one), decided(&other));
}

#[test]
fn ctrl_c_ends_it_with_a_report() {
    let Some(run) = stress(&["--seconds", "600", "--json"]) else { return };
    let mut started = run.start();
    let mut stderr = BufReader::new(started.child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains(" forks, ") && stderr.read_line(&mut said).unwrap() > 0 {}
    let pid = started.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success(), "{said}");
    stderr.read_to_string(&mut said).unwrap();
    let ended = started.child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&ended.stdout).expect(&said);
    assert_eq!((ended.status.code(), &report["interrupted"]), (Some(0), &json!(true)), "{said}");
    assert!(number(&report, "sectors_read_back") > 0, "{report}");
    assert_nothing_left();
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |args: &[&str], words: &[&str]| {
        if let Some(run) = stress(args) {
            run.run().assert_refused(words);
        }
    };
    refused(&["--vcpus", "9"], &["--vcpus"]);
    refused(&["--vcpus", "8", "--depth", "256"], &["--memory", "MiB"]);
    refused(&["--rules", "mapcount"], &["--unsafe"]);
    refused(&["--backing", "hostcow", "--rules", "wait"], &["--backing trap"]);
    refused(&["--guests", "1"], &["--guests", "2..=64"]);
    refused(&["--seconds", &u64::MAX.to_string()], &["--seconds"]);
    refused(&["--depth", "0"], &["--depth"]);
    refused(&["--control", "nothing"], &["--control"]);
    refused(&["--late", "0"], &["--late", "1..=10000"]);
}
