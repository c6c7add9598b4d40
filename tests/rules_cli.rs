//! `pincow rules`: the table, the scenarios and the explorations, as a user sees them.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pincow_mmu::rules::{Mutant, RuleSet};
use pincow_tests::{Elsewhere, NOBODY, Pincow, is_root};
use serde_json::{Value, json};
use tempfile::TempDir;

const SCENARIOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/all.scn");
const TABLE: &str = include_str!("scenarios/table.txt");

fn run(args: &[&str], input: &str) -> Vec<Value> {
    Pincow::new(&[&["rules", "run", "--json"], args].concat()).input(input).run().json_lines()
}

fn explore(args: &[&str]) -> Value {
    let ran = Pincow::new(&[&["rules", "explore", "--json"], args].concat()).run();
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    ran.json()
}

fn names(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The line that a row of the table of outcomes stands for.
fn expected(row: &str, on: &str) -> Value {
    let [scenario, rules, findings, copies] =
        row.split_whitespace().collect::<Vec<_>>().try_into().unwrap();
    let findings: Vec<_> = findings.split('+').filter(|name| *name != "ok").collect();
    let copies: u64 = copies.trim_end_matches('c').parse().unwrap();
    json!({
        "scenario": scenario, "rules": rules, "on": on, "backing": "trap",
        "findings": findings, "copies": copies,
    })
}

#[test]
fn every_outcome_of_the_table_on_both_places_in_order() {
    let lines = run(&[SCENARIOS, "--rules", "all", "--on", "model,memory"], "");
    let rows = TABLE.lines().filter(|row| !row.is_empty() && !row.starts_with('#'));
    let all: Vec<_> =
        rows.flat_map(|row| [expected(row, "model"), expected(row, "memory")]).collect();
    assert_eq!((lines.len(), all.len()), (522, 522));
    for (line, expected) in lines.iter().zip(&all) {
        assert_eq!(line, expected);
    }
}

#[test]
fn inputs_rules_and_places_come_in_the_order_of_the_command_line() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("first");
    fs::write(&file, "# no scenario line\nread P\nscenario second\nread P # again\n").unwrap();
    let file = file.display().to_string();
    let args = [&file, "-", "--rules", "wait,busy,wait", "--on", "memory,model"];
    let lines = run(&args, "scenario third\nread P\n");
    let order: Vec<_> = lines
        .iter()
        .map(|line| ["scenario", "rules", "on"].map(|key| line[key].as_str().unwrap()).join(" "))
        .collect();
    let all = ["first", "second", "third"].iter().flat_map(|scenario| {
        ["wait", "busy"]
            .iter()
            .flat_map(move |rules| ["memory", "model"].map(|on| format!("{scenario} {rules} {on}")))
    });
    assert_eq!(order, all.collect::<Vec<_>>());
}

#[test]
fn findings_are_sorted_and_no_failure() {
    let script = "pin P W long p\nfork P C\nwrite P\ndma_read p\ndma_write p\nread P\nread C\n";
    let lines = run(&["-", "--rules", "mapcount", "--on", "memory", "--unsafe"], script);
    assert_eq!(lines[0]["findings"], json!(["LEAK", "LOST", "STALE"]));
    let ran = Pincow::new(&["rules", "run", "-", "--rules", "mapcount"]).input(script).run();
    assert_eq!(ran.status, Some(0));
    assert!(ran.stdout.contains("LEAK+LOST+STALE"), "{}", ran.stdout);
    assert!(ran.stderr.contains("`mapcount` is known to show LEAK"), "{}", ran.stderr);
}

#[test]
fn places_that_are_not_there_are_refused_with_those_that_are() {
    let args = ["rules", "run", "-", "--on", "paper"];
    Pincow::new(&args).run().assert_refused(&["paper", "possible values: model, memory, guest"]);
}

/// Whether there are guests here.
fn has_kvm() -> bool {
    let has = Path::new("/dev/kvm").exists();
    if !has {
        println!("skipped: there is no /dev/kvm here");
    }
    has
}

/// A folder for disks that transfers can be made on directly.
fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_MANIFEST_DIR")).unwrap()
}

#[test]
fn every_outcome_of_the_table_on_real_guests() {
    if !has_kvm() {
        return;
    }
    let folder = folder();
    let dir = folder.path().display().to_string();
    let lines = run(&[SCENARIOS, "--rules", "all", "--on", "guest", "--dir", &dir], "");
    let rows = TABLE.lines().filter(|row| !row.is_empty() && !row.starts_with('#'));
    let all: Vec<_> = rows.map(|row| expected(row, "guest")).collect();
    assert_eq!((lines.len(), all.len()), (261, 261));
    for (line, expected) in lines.iter().zip(&all) {
        assert_eq!(line, expected);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "files stay behind");
}

/// Where the kernel answers first writes, guests show what the model shows, row by row; a row that cannot be
/// there says why, and is counted.
#[test]
fn rows_that_are_left_to_the_kernel_are_said_and_counted() {
    let folder = folder();
    let dir = folder.path().display().to_string();
    let on = if has_kvm() { "model,memory,guest" } else { "model,memory" };
    let places = on.split(',').count();
    let args = [SCENARIOS, "--rules", "all", "--on", on, "--backing", "hostcow", "--dir", &dir];
    let mut lines = run(&args, "");
    let counts = lines.pop().unwrap();
    assert_eq!(lines.len(), 261 * places);
    for rows in lines.chunks(places) {
        for row in rows {
            assert_eq!(row["backing"], "hostcow", "{row}");
            for what in ["scenario", "rules", "findings", "copies"] {
                assert_eq!(row[what], rows[0][what], "{row}");
            }
            assert_eq!(row["left_out"].is_string(), row["findings"].is_null(), "{row}");
        }
    }
    let left_out = |what: &str| {
        let of = |row: &&Value| row["left_out"].as_str().is_some_and(|why| why.contains(what));
        lines.iter().filter(of).count() / places
    };
    assert_eq!((left_out("decide about each write"), left_out("`write_protect P`")), (87, 60));
    let times = |rows: usize| rows * places;
    let tally = json!({
        "rows": times(261), "run": times(114), "not_expressible": 0,
        "left_out": { "rules": times(87), "write_protect": times(60) },
    });
    assert_eq!(counts, json!({ "backing": "hostcow", "tally": tally }));
    let args = ["rules", "run", "-", "--rules", "wait,busy", "--backing", "hostcow"];
    let text = Pincow::new(&args).input("read P\nscenario next\nwrite_protect P\n").run().stdout;
    assert!(
        text.contains("left out: rules wait decide") && text.contains("left out: line 3"),
        "{text}"
    );
    assert!(text.contains("hostcow: 1 of 4 rows were run; left out: 2 whose rules"), "{text}");
}

/// More pins of one guest than its virtqueue has entries: the script gets its line all the same, and
/// so does the one after it.
#[test]
fn what_virtio_blk_cannot_say_gets_a_line_that_tells_so() {
    if !has_kvm() {
        return;
    }
    let folder = folder();
    let dir = folder.path().display().to_string();
    let mut script: String = (0..257).map(|pin| format!("pin P R long p{pin}\n")).collect();
    script.push_str("scenario next\nwrite P\nread P\n");
    let rules = ["-", "--rules", "single-refcount", "--on", "model,guest", "--dir", &dir];
    let lines = run(&rules, &script);
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0]["findings"], json!([]), "the model has no queue");
    assert_eq!(
        names(&lines[1]),
        BTreeSet::from(["backing", "not_expressible", "on", "rules", "scenario"])
    );
    let reason = lines[1]["not_expressible"].as_str().unwrap();
    assert!(reason.contains("line 257, `pin P R long p256`"), "{reason}");
    assert_eq!(lines[3], expected("next single-refcount ok 0c", "guest"));
    let args = [&["rules", "run"], &rules[..]].concat();
    let text = Pincow::new(&args).input(&script).run().stdout;
    assert!(text.contains("not expressible: line 257"), "{text}");
}

#[test]
fn guests_without_kvm_or_a_folder_are_refused() {
    if has_kvm() {
        let args =
            ["rules", "run", "-", "--on", "guest", "--dir", "/no-such-folder", "--rules", "wait"];
        let ran = Pincow::new(&args).input("read P\n").run();
        ran.assert_refused(&["/no-such-folder", "choose a folder"]);
    }
    if is_root() {
        let args = ["rules", "run", "-", "--on", "guest"];
        let elsewhere = Elsewhere::default();
        let ran = elsewhere.with_devices(&[], NOBODY, &args).input("read P\n").run();
        ran.assert_refused(&["/dev/kvm", "modprobe"]);
    }
}

#[test]
fn the_table_has_every_set_and_every_answer() {
    let ran = Pincow::new(&["rules", "table", "--json"]).run();
    let table = ran.json();
    let sets = table["sets"].as_array().unwrap();
    let marked = |mark: &str| -> Vec<_> {
        sets.iter().filter(|set| set[mark] == true).map(|set| &set["name"]).collect()
    };
    assert_eq!(sets.len(), 9);
    assert_eq!(marked("default"), ["single-refcount"]);
    assert_eq!(marked("unsafe"), ["mapcount"]);
    for decision in table["decisions"].as_array().unwrap() {
        assert_eq!(names(&decision["answers"]).len(), 9, "{decision}");
    }
    let text = Pincow::new(&["rules", "table"]).run().stdout;
    for set in RuleSet::ALL {
        assert!(text.contains(&set.to_string()), "{set}");
    }
}

/// What an exploration finds, `rules run` finds in the script that it gives, in every place.
fn assert_reproduced(explored: &Value) {
    let rules = explored["rules"].as_str().unwrap();
    let (folder, on) = (folder(), if has_kvm() { "model,memory,guest" } else { "model,memory" });
    let dir = folder.path().display().to_string();
    for part in ["findings", "remarks"] {
        for (finding, script) in explored[part].as_object().unwrap() {
            let args = ["-", "--rules", rules, "--on", on, "--dir", &dir];
            for line in run(&args, script.as_str().unwrap()) {
                let findings = line["findings"].as_array().unwrap();
                assert!(findings.contains(&json!(finding)), "{line}: {finding} by\n{script}");
            }
        }
    }
}

#[test]
fn explorations_find_what_is_known_and_give_scripts_that_show_it() {
    for (rules, expected) in [
        ("single-refcount", &[][..]),
        ("literal", &["STALE"]),
        ("busy", &["STALE"]),
        ("refcount", &["LOST", "STALE"]),
        ("pin-bias", &["LOST", "STALE"]),
        ("exclusive", &[]),
        ("wait", &[]),
        ("short-read", &[]),
        ("mapcount", &["LEAK", "LOST", "STALE"]),
    ] {
        let explored = explore(&["--rules", rules, "--guests", "2", "--pins", "1"]);
        let expected: BTreeSet<_> = expected.iter().copied().collect();
        assert_eq!(names(&explored["findings"]), expected, "{rules}");
        assert_eq!(explored["complete"], true);
        assert!(names(&explored["remarks"]).is_subset(&BTreeSet::from(["BUSY", "OLD", "WAIT"])));
        assert_reproduced(&explored);
    }
    let lost = explore(&["--rules", "refcount", "--guests", "2", "--pins", "1"]);
    assert!(!lost["findings"]["LOST"].as_str().unwrap().contains("fork"));
}

#[test]
fn mutants_are_told_apart_from_what_they_are_mutants_of() {
    let mutant = Mutant::ForkIgnoresPins.to_string();
    let explored = explore(&["--rules", "exclusive", "--pins", "1", "--mutant", &mutant]);
    assert_eq!(explored["mutant"], json!(mutant));
    assert!(!names(&explored["findings"]).is_empty());
    let args = ["rules", "explore", "--rules", "literal", "--mutant", &mutant];
    Pincow::new(&args).run().assert_refused(&["`exclusive`", "--rules exclusive"]);
    let args = ["rules", "explore", "--rules", "exclusive", "--mutant", "none"];
    Pincow::new(&args).run().assert_refused(&["no mutant `none`", "swap-in-private"]);
}

#[test]
fn an_exploration_that_is_stopped_says_so() {
    let explored = explore(&["--pins", "1", "--max-states", "10"]);
    assert_eq!(explored["complete"], false);
    assert!(explored["states"].as_u64().unwrap() > 10);
    let args = ["rules", "explore", "--pins", "1", "--max-states", "10"];
    let text = Pincow::new(&args).run().stdout;
    assert!(text.contains("so far") && text.contains("stopped"), "{text}");
}
