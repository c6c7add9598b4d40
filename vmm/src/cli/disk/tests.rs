//! What the subcommands do, by exit status and by file.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command as Top};

fn pincow(dir: &Path, words: &[&str]) -> Outcome {
    let words = words.iter().map(|word| match word.strip_prefix('@') {
        Some(name) => dir.join(name).into_os_string(),
        None => word.into(),
    });
    let line = ["pincow", "disk"].into_iter().map(Into::into).chain(words);
    let Top::Disk(command) = Cli::try_parse_from(line).unwrap().command else { panic!("disk") };
    run(command)
}

fn home() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("base"), [3; 4096]).unwrap();
    dir
}

#[test]
fn an_overlay_is_made_checked_and_flattened() {
    let home = home();
    let dir = home.path();
    let ok = |outcome: Outcome| assert_eq!(outcome.unwrap(), ExitCode::SUCCESS);
    ok(pincow(dir, &["create", "--base", "@base", "--size", "8K", "@over"]));
    ok(pincow(dir, &["create", "--base", "@over", "--base-format", "overlay", "@top"]));
    ok(pincow(dir, &["info", "@top"]));
    ok(pincow(dir, &["check", "--json", "@top"]));
    ok(pincow(dir, &["flatten", "@top", "@flat"]));
    assert_eq!(std::fs::read(dir.join("flat")).unwrap(), [[3; 4096], [0; 4096]].concat());
}

#[test]
fn damage_is_found_and_is_no_failure() {
    let home = home();
    let dir = home.path();
    pincow(dir, &["create", "--base", "@base", "@over"]).unwrap();
    std::fs::write(dir.join("base"), [3; 512]).unwrap();
    assert_eq!(pincow(dir, &["check", "@over"]).unwrap(), ExitCode::from(1));
}

#[test]
fn bad_input_fails() {
    let home = home();
    let dir = home.path();
    pincow(dir, &["create", "--size", "1M", "@over"]).unwrap();
    let message = |words: &[&str]| pincow(dir, words).unwrap_err().to_string();
    assert!(message(&["check", "@base"]).contains("not an overlay"));
    assert!(message(&["info", "@missing"]).contains("check the path"));
    assert!(message(&["create", "--base", "@over", "@top"]).contains("raw or overlay"));
    assert!(message(&["create", "--base", "@base", "--cluster", "1M", "@top"]).contains("64 KiB"));
    assert!(message(&["create", "--base", "@base", "--size", "512", "@top"]).contains("0x200"));
    assert!(message(&["flatten", "@over", "@base"]).contains("exists"));
}

#[test]
fn what_is_printed_names_files_and_sizes() {
    let home = home();
    let dir = home.path();
    pincow(dir, &["create", "--base", "@base", "--size", "3M", "@over"]).unwrap();
    let inspection = crate::disk::overlay::inspect(&dir.join("over")).unwrap();
    let mut text = Vec::new();
    info::write(&mut text, &inspection).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("over: overlay") && text.contains("base: raw"), "{text}");
    assert!(text.contains("3 MiB") && text.contains("0 of 64 KiB"), "{text}");
}
