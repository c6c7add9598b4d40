use std::path::Path;

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::super::sections::sections;
use super::super::sections::tests::{all_of, clone_case, document};
use super::{parse, read};

fn said(text: &str) -> String {
    let parsed = parse(text, "f.json");
    match parsed.and_then(|runs| sections(&runs)) {
        Err(failure) => failure.to_string(),
        Ok(_) => panic!("not refused: {text}"),
    }
}

fn assert_said(text: &str, words: &[&str]) {
    let said = said(text);
    for word in ["f.json"].iter().chain(words) {
        assert!(said.contains(word), "no `{word}` in: {said}");
    }
    assert!(said.len() < 300, "{said}");
}

#[test]
fn a_file_may_have_several_documents() {
    let documents = all_of(&[1.0, 2.0]);
    let text: String = documents.iter().map(Value::to_string).collect();
    assert_eq!(parse(&text, "f.json").unwrap().len(), documents.len());
}

#[test]
fn files_that_are_not_ours() {
    assert_said("", &["nothing in it"]);
    assert_said(" \n", &["nothing in it"]);
    assert_said("memory n clone\n64M 200", &["not a whole JSON document", "line 1 column 1"]);
    for other in ["{}", "[]", "7", "null", "\"pincow-bench\"", "{\"format\": \"criterion\"}"] {
        assert_said(other, &["not what `pincow bench .. --json` prints"]);
    }
    assert_said(&"[".repeat(100_000), &["recursion limit"]);
}

#[test]
fn a_document_that_is_cut_off_is_refused_wherever_it_is() {
    let whole = all_of(&[1.0]).remove(0).to_string();
    for end in 1..whole.len() {
        assert_said(&whole[..end], &["not a whole JSON document", "line 1 column"]);
    }
    assert_said(&format!("{whole}\n{}", &whole[..40]), &["line 2 column 40"]);
}

#[test]
fn documents_of_another_version() {
    let mut other = all_of(&[1.0]).remove(0);
    other["version"] = 2.into();
    assert_said(&other.to_string(), &["version: version 2", "reads 1", "measure again"]);
    other["version"] = "1".into();
    assert_said(&other.to_string(), &["version: not a number"]);
}

#[test]
fn documents_without_what_a_page_needs() {
    for at in 0..8 {
        let whole = all_of(&[1.0]).remove(at);
        for field in ["bench", "command", "rules", "backing", "known_findings", "machine", "cases"]
        {
            let mut less = whole.clone();
            less.as_object_mut().unwrap().remove(field);
            assert_said(&less.to_string(), &[&format!("there is no `{field}`")]);
        }
        for field in whole["cases"][0].as_object().unwrap().keys() {
            if ["latency_ms", "steps"].contains(&field.as_str()) {
                continue;
            }
            let mut less = whole.clone();
            less["cases"][0].as_object_mut().unwrap().remove(field);
            assert_said(&less.to_string(), &["cases[0]", &format!("there is no `{field}`")]);
            let mut other = whole.clone();
            other["cases"][0][field] = json!({ "x": [] });
            assert_said(&other.to_string(), &[&format!("cases[0].{field}")]);
        }
    }
}

#[test]
fn documents_without_samples() {
    assert_said(&document("clone", "trap", json!([])).to_string(), &["cases: there are none"]);
    let none = clone_case(&[], &[], &[]);
    let text = document("clone", "trap", json!([none])).to_string();
    assert_said(&text, &["cases[0].clone_samples_us: there are no samples"]);
    let fewer = clone_case(&[1.0, 2.0], &[1.0], &[1.0, 2.0]);
    let text = document("clone", "trap", json!([fewer])).to_string();
    assert_said(&text, &["cases[0].floor_samples_us: 1 samples, and `n` says 2"]);
}

#[test]
fn a_run_all_of_whose_cases_were_refused_has_a_place() {
    let mut refused = document("fork", "trap", json!([]));
    refused["refused"] = json!(["no room"]);
    let sections = sections(&parse(&refused.to_string(), "f.json").unwrap()).unwrap();
    assert_eq!(sections[0].refused, ["trap: no room"]);
}

#[test]
fn files_that_cannot_be_read() {
    let said = |path: &Path| read(path).unwrap_err().to_string();
    assert!(said(Path::new("/no/such/file")).contains("/no/such/file: No such file"));
    assert!(said(Path::new("/dev/zero")).contains("/dev/zero: longer than 64 MiB"));
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"{\"a\": \"\xff\"}").unwrap();
    assert!(said(file.path()).contains("the byte at 0x7 is not UTF-8"));
}
