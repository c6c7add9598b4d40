//! `pincow doctor` says beforehand what the other commands will say.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;

use pincow_tests::{Elsewhere, NOBODY, Pincow, is_root};
use serde_json::Value;

fn works(report: &Value, command: &str) -> bool {
    let commands = report["commands"].as_array().unwrap();
    let verdict = commands.iter().find(|verdict| verdict["command"] == command).unwrap();
    verdict["works"].as_bool().unwrap()
}

#[test]
fn this_host_can_show_the_demo() {
    if !Path::new("/dev/kvm").exists() {
        println!("skipped: there is no /dev/kvm here");
        return;
    }
    let ran = Pincow::new(&["doctor", "--json"]).run();
    let report = ran.json();
    assert_eq!(ran.status, Some(0), "{report}");
    assert_eq!(report["kvm"]["problem"], Value::Null);
    assert_eq!(report["kvm"]["api_version"], 12);
    assert!(report["kvm"]["exit_us"]["p50"].as_f64().unwrap() > 0.0);
    assert!(report["kvm"]["doorbell"]["as_exit_us"]["p50"].as_f64().unwrap() > 0.0);
    assert!(report["kvm"]["ring0"]["answer"].is_string());
    assert!(report["limits"]["guests_by_mappings"].as_u64().unwrap() > 0);
    let commands =
        ["run", "demo", "bench", "rules run --on guest", "rules run --on memory", "rules"];
    for command in commands {
        assert!(works(&report, command), "{command}");
    }
    let text = Pincow::new(&["doctor"]).run().stdout;
    assert!(
        text.contains("Guests that can run here")
            && text.contains("a doorbell")
            && text.contains("max_map_count"),
        "{text}"
    );
}

#[test]
fn nobody_is_told_which_commands_grant_what_is_missing() {
    if !is_root() {
        return;
    }
    let elsewhere = Elsewhere::default();
    let ran = elsewhere.with_devices(&[], NOBODY, &["doctor", "--json"]).run();
    let report = ran.json();
    let problem = report["kvm"]["problem"].as_str().unwrap();
    assert!(problem.contains("modprobe"), "{problem}");
    assert!(works(&report, "rules"));
    assert!(!works(&report, "demo"));
    assert_eq!(ran.status, Some(2));
    let text = elsewhere.with_devices(&[], NOBODY, &["doctor"]).run().stdout;
    assert!(text.contains("CANNOT RUN without KVM"), "{text}");
}
