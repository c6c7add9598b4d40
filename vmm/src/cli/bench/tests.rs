//! What the benchmarks print. No times are judged.

use clap::Parser;
use serde_json::Value;

use super::machine::quoted;
use super::report::{Report, ratio};
use super::{Command, clone, fault, fork};
use crate::kvm::tests::host;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

fn report(line: &str) -> Option<Report> {
    host()?;
    let words = std::iter::once("bench").chain(line.split(' '));
    let report = match Line::try_parse_from(words).unwrap().command {
        Command::Clone(args) => clone::run(&args),
        Command::Fork(args) => fork::run(&args),
        Command::Fault(args) => fault::run(&args),
    };
    Some(report.unwrap())
}

fn assert_cases(report: &Report, bench: &str, cases: usize, spreads: &[&str]) {
    assert!(report.is_well());
    let json = report.json().unwrap();
    assert_eq!(json["bench"], bench);
    assert_eq!(json["rules"], "single-refcount");
    assert_eq!(json["backing"], "trap");
    assert!(json["machine"]["cores"].as_u64().unwrap() >= 1);
    assert!(!json["machine"]["kernel"].as_str().unwrap().is_empty());
    assert!(!json["command"].as_str().unwrap().is_empty());
    let found = json["cases"].as_array().unwrap();
    assert_eq!(found.len(), cases);
    for case in found {
        for spread in spreads {
            let at = |percentile| case[spread][percentile].as_f64().unwrap();
            assert!(0.0 < at("p50") && at("p50") <= at("p99"), "{spread}: {case}");
        }
        assert_eq!(case["n"], 3);
        assert!(case["ratio_p50"].as_f64().unwrap() > 0.0, "{case}");
        assert!(case["ratio_p99"].as_f64().unwrap() > 0.0, "{case}");
    }
    assert_eq!(report.text().matches('\n').count(), 3 + 1 + cases);
}

#[test]
fn bench_clone_has_a_case_per_memory_size() {
    let line = "clone --json --samples 3 --memory 16M,32M";
    let Some(report) = report(line) else { return };
    assert_cases(&report, "clone", 2, &["clone_us", "floor_us", "floor_to_answer_us"]);
    assert_eq!(report.json().unwrap()["cases"][1]["memory_bytes"], 32 << 20);
}

#[test]
fn bench_fork_has_two_layouts_per_amount() {
    let Some(report) = report("fork --json --samples 3 --dirty 256K") else { return };
    let spreads = ["pause_us", "floor_pause_us", "child_us", "floor_us", "floor_to_answer_us"];
    assert_cases(&report, "fork", 2, &spreads);
    let cases = &report.json().unwrap()["cases"];
    assert_eq!(cases[0]["layout"], "contiguous");
    assert_eq!(cases[1]["layout"], "every-second");
    assert_eq!(cases[1]["dirty_bytes"], 256 << 10);
}

#[test]
fn bench_fault_has_copy_and_reuse() {
    let line = "fault --json --samples 3 --pages 256 --memory 16M";
    let Some(report) = report(line) else { return };
    assert_cases(&report, "fault", 2, &["fault_us", "floor_us"]);
    let names = |case: &Value| case["case"].as_str().unwrap().to_owned();
    let cases = report.json().unwrap()["cases"].as_array().unwrap();
    assert_eq!(cases.iter().map(names).collect::<Vec<_>>(), ["copy", "reuse"]);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    for line in ["clone --samples 0", "fault --pages 0", "fork --dirty much", "clone --memory ,"] {
        let words = std::iter::once("bench").chain(line.split(' '));
        assert!(Line::try_parse_from(words).is_err(), "{line}");
    }
    for line in ["fork --dirty 1K", "clone --rules mapcount", "fork --rules mapcount"] {
        let words = std::iter::once("bench").chain(line.split(' '));
        let refused = match Line::try_parse_from(words).unwrap().command {
            Command::Clone(args) => clone::run(&args),
            Command::Fork(args) => fork::run(&args),
            Command::Fault(args) => fault::run(&args),
        };
        assert!(refused.is_err(), "{line}");
    }
}

#[test]
fn words_are_quoted_as_a_shell_reads_them() {
    assert_eq!(quoted("--memory=64M,1G"), "--memory=64M,1G");
    assert_eq!(quoted("two words"), "'two words'");
    assert_eq!(quoted("it's"), r"'it'\''s'");
    assert_eq!(quoted(""), "''");
}

#[test]
fn a_ratio_is_to_the_floor() {
    assert_eq!(ratio(300.0, 200.0), 1.5);
    assert_eq!(ratio(300.0, 0.0), 0.0);
}
