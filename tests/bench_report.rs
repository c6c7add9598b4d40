//! `pincow bench report`, as a user runs it: the page whole or not at all, its tables on stdout.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

use pincow_tests::{Pincow, Ran};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What `pincow bench pin --json` prints.
fn pin(pin_ns: f64) -> Value {
    json!({
        "format": "pincow-bench", "version": 1, "bench": "pin", "command": "pincow bench pin --json",
        "machine": { "kernel": "6.18.0", "cpu": "Test CPU", "cores": 2 },
        "rules": "single-refcount", "known_findings": "", "backing": "trap", "violations": [],
        "cases": [{
            "case": "alone", "threads": 1, "n": 2, "speed_up": 1.0,
            "samples_ns": [pin_ns, pin_ns], "floor_samples_ns": [20.0, 20.0],
        }],
    })
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: &str) -> String {
        fs::write(self.path(name), content).unwrap();
        self.text(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn names(&self) -> Vec<String> {
        names(self.0.path())
    }

    fn report(&self, words: &[&str]) -> Ran {
        let out = self.text("page.html");
        Pincow::new(&[&["bench", "report", "--out", &out], words].concat()).run()
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_page_of_files_and_its_tables() {
    let folder = Folder::new();
    let files = [
        folder.file("a.json", &pin(40.0).to_string()),
        folder.file("b.json", &pin(60.0).to_string()),
    ];
    let ran = folder.report(&[&files[0], &files[1]]);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("$ pincow bench pin --json\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("| trap | alone | 1 | 2 | 40.0 | 40.0 | 20.0 | 20.0 | 2.00 |"));
    assert!(ran.stdout.contains("| trap (2) | alone | 1 | 2 | 60.0 | 60.0 | 20.0 | 20.0 | 3.00 |"));
    assert_eq!(folder.names(), ["a.json", "b.json", "page.html"]);
    let page = fs::read_to_string(folder.path("page.html")).unwrap();
    assert!(page.contains("3.00 \u{d7}</text>") && page.ends_with("</html>\n"));
}

#[test]
fn a_wrong_byte_is_told_by_the_page_and_by_the_status() {
    let folder = Folder::new();
    let mut wrong = pin(40.0);
    wrong["violations"] = json!(["a frame's count is 2, not 1"]);
    let ran = folder.report(&[&folder.file("a.json", &wrong.to_string())]);
    assert_eq!(ran.status, Some(1), "{}", ran.stderr);
    assert!(ran.stdout.contains("VIOLATION: trap: a frame's count is 2, not 1"), "{}", ran.stdout);
    assert!(
        fs::read_to_string(folder.path("page.html")).unwrap().contains("VIOLATION trap: a frame")
    );
}

#[test]
fn bad_input_leaves_the_page_that_was_there() {
    let folder = Folder::new();
    let page = folder.file("page.html", "the page of yesterday");
    let good = folder.file("good.json", &pin(40.0).to_string());
    let whole = pin(40.0).to_string();
    let mut other = pin(40.0);
    other["version"] = 7.into();
    let mut empty = pin(40.0);
    empty["cases"][0]["samples_ns"] = json!([]);
    for (content, words) in [
        ("", &["there is nothing in it"][..]),
        ("case threads n\n", &["not a whole JSON document", "line 1 column 1"]),
        ("{\"bench\": \"pin\"}", &["not what `pincow bench .. --json` prints"]),
        (&whole[..whole.len() / 2], &["not a whole JSON document", "EOF", "line 1 column"]),
        (&other.to_string(), &["version 7", "reads 1"]),
        (&empty.to_string(), &["cases[0].samples_ns", "no samples"]),
    ] {
        let bad = folder.file("bad.json", content);
        let ran = folder.report(&[&good, &bad]);
        ran.assert_refused(&[&[&*bad], words].concat());
        assert_eq!(fs::read_to_string(&page).unwrap(), "the page of yesterday");
        assert_eq!(folder.names(), ["bad.json", "good.json", "page.html"]);
    }
}

#[test]
fn places_at_which_no_page_can_be_are_found_at_once() {
    let folder = Folder::new();
    let good = folder.file("good.json", &pin(40.0).to_string());
    let report = |words: &[&str]| Pincow::new(&[&["bench", "report"], words].concat()).run();
    report(&["--out", "/no/such/folder/x.html"])
        .assert_refused(&["/no/such/folder", "No such file"]);
    report(&["--out", "/dev/null", &good]).assert_refused(&["/dev/null", "not a regular file"]);
    report(&["--out", &folder.text(""), &good]).assert_refused(&["not a regular file"]);
    report(&["--out", &folder.text("x.html"), "/no/such.json"]).assert_refused(&["/no/such.json"]);
    assert_eq!(folder.names(), ["good.json"]);
}

#[test]
fn without_files_the_benchmarks_are_run_and_what_they_print_gives_the_same_page() {
    if !Path::new("/dev/kvm").exists() {
        println!("skipped: there is no /dev/kvm here");
        return;
    }
    let folder = Folder::new();
    let disks = folder.text("disks");
    fs::create_dir(&disks).unwrap();
    let ran = folder.report(&["--quick", "--keep", &folder.text("kept"), "--dir", &disks]);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let page = fs::read_to_string(folder.path("page.html")).unwrap();
    for bench in ["boot", "clone", "fork", "fault", "fork-io", "blk", "pin"] {
        assert!(page.contains(&format!("<section id=\"{bench}\">")), "{bench}");
        assert!(ran.stderr.contains(&format!("pincow bench {bench} --json")), "{}", ran.stderr);
    }
    assert!(names(Path::new(&disks)).is_empty());
    let kept = names(&folder.path("kept"));
    assert!(kept.contains(&"clone-hostcow.json".to_owned()), "{kept:?}");
    // In the order in which they were run, which is that of what stands on the page.
    let mut kept: Vec<PathBuf> = kept.iter().map(|name| folder.path("kept").join(name)).collect();
    kept.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
    let kept: Vec<String> = kept.iter().map(|path| path.display().to_string()).collect();
    let words: Vec<&str> = kept.iter().map(String::as_str).collect();
    let again = folder.report(&words);
    assert_eq!(again.status, Some(0), "{}", again.stderr);
    assert!(again.stdout == ran.stdout);
    assert!(fs::read_to_string(folder.path("page.html")).unwrap() == page);
}

#[test]
fn benchmarks_that_cannot_be_run_are_no_page() {
    let folder = Folder::new();
    let ran = folder.report(&["--quick", "--keep", "/dev/null/folder"]);
    ran.assert_refused(&["/dev/null/folder", "Not a directory"]);
    assert!(folder.names().is_empty());
}
