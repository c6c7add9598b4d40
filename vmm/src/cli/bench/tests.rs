//! What the benchmarks print. No times are judged.

use clap::Parser;
use serde_json::Value;

use super::machine::quoted;
use super::report::{Report, ratio};
use super::{Measure, measure};
use crate::kvm::tests::host;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Measure,
}

fn report(line: &str) -> Option<Report> {
    host()?;
    let words = std::iter::once("bench").chain(line.split(' '));
    Some(measure(Line::try_parse_from(words).unwrap().command).unwrap())
}

fn assert_cases(report: &Report, bench: &str, cases: usize, spreads: &[&str]) {
    assert!(report.is_well());
    let json = report.json().unwrap();
    assert_eq!((&json["format"], &json["version"]), (&"pincow-bench".into(), &1.into()));
    assert_eq!(json["bench"], bench);
    assert_eq!(json["rules"], "single-refcount");
    assert_eq!(json["backing"], "hostcow");
    assert!(json["machine"]["cores"].as_u64().unwrap() >= 1);
    assert!(!json["machine"]["kernel"].as_str().unwrap().is_empty());
    assert!(!json["command"].as_str().unwrap().is_empty());
    let found = json["cases"].as_array().unwrap();
    assert_eq!(found.len(), cases);
    for case in found {
        for spread in spreads {
            let at = |percentile| case[spread][percentile].as_f64().unwrap();
            let samples = match spread.strip_suffix("_us") {
                Some("fault") | None => "samples_us".to_owned(),
                Some(name) => format!("{name}_samples_us"),
            };
            let samples = case[&samples].as_array().unwrap().iter();
            let mut times: Vec<_> = samples.map(|time| time.as_f64().unwrap()).collect();
            times.sort_by(f64::total_cmp);
            let [shortest, middle, longest] = times[..] else { panic!("{spread}: {case}") };
            // A difference of two times is none where others took the CPU in the second.
            assert!(shortest >= 0.0, "{spread}: {case}");
            assert_eq!([at("p50"), at("p99")], [middle, longest], "{spread}: {case}");
        }
        assert_eq!(case["n"], 3);
        assert!(case["ratio_p50"].as_f64().unwrap() >= 0.0, "{case}");
        assert!(case["ratio_p99"].as_f64().unwrap() > 0.0, "{case}");
    }
    assert_eq!(report.text().matches('\n').count(), 3 + 1 + cases);
}

#[test]
fn bench_clone_and_boot_have_a_case_per_memory_size() {
    for bench in ["clone", "boot"] {
        let line = format!("{bench} --json --samples 3 --memory 16M,32M");
        let Some(report) = report(&line) else { return };
        let ours = format!("{bench}_us");
        assert_cases(&report, bench, 2, &[&ours, "floor_us", "floor_to_answer_us"]);
        assert_eq!(report.json().unwrap()["cases"][1]["memory_bytes"], 32 << 20);
    }
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
fn bench_fault_counts_what_the_host_copies() {
    let line = "fault --json --samples 2 --pages 256 --memory 16M --backing hostcow";
    let Some(report) = report(line) else { return };
    assert!(report.is_well());
    assert_eq!(cases(&report).len(), 2);
}

#[test]
fn bench_cow_has_a_case_per_method_and_length_of_runs() {
    let line = "cow --json --samples 3 --pages 48 --runs 1,8 --memory 16M";
    let Some(report) = report(line) else { return };
    assert!(report.is_well(), "{}", report.text());
    assert_eq!(report.json().unwrap()["backing"], "hostcow", "unless something else is said");
    let cases = cases(&report);
    let of = |case: &Value| (case["run"].as_u64(), case["method"].as_str().unwrap().to_owned());
    let found: Vec<_> = cases.iter().map(of).collect();
    let expected = [1, 8].iter().flat_map(|&run| METHODS.map(|name| (Some(run), name.to_owned())));
    assert_eq!(found, expected.collect::<Vec<_>>());
    for case in cases {
        assert_eq!((&case["pages"], &case["n"]), (&48.into(), &3.into()), "{case}");
        for samples in ["answer_samples_us", "guest_samples_us", "cpu_samples_us", "copied_samples"]
        {
            let samples = case[samples].as_array().unwrap();
            assert_eq!(samples.len(), 3);
            assert!(samples.iter().all(|sample| sample.as_f64() > Some(0.0)), "{case}");
        }
        if case["method"] == "kernel" {
            assert_eq!(
                (&case["guest_ratio_p50"], &case["cpu_ratio_p99"]),
                (&1.0.into(), &1.0.into())
            );
        }
    }
    assert_eq!(report.text().matches('\n').count(), 3 + 1 + cases.len());
}

const METHODS: [&str; 5] = ["kernel", "plain", "learned", "ready", "wrong"];

fn cases(report: &Report) -> &Vec<Value> {
    report.json().unwrap()["cases"].as_array().unwrap()
}

#[test]
fn bench_fork_io_compares_slow_with_fast_and_draining_with_not() {
    let line = "fork-io --json --samples 2 --depth 4,0 --latency-ms 100 --memory 16M";
    let Some(report) = report(line) else { return };
    assert!(report.is_well());
    let json = report.json().unwrap();
    assert_eq!((&json["bench"], &json["vcpus"]), (&"fork-io".into(), &1.into()));
    let cases = cases(&report);
    assert_eq!(cases.len(), 8);
    for case in cases {
        assert_eq!(case["n"], 2);
        for (spread, samples) in
            [("pause_us", "pause_samples_us"), ("child_first_us", "child_first_samples_us")]
        {
            assert!(0.0 < case[spread]["p50"].as_f64().unwrap(), "{case}");
            assert_eq!(case[samples].as_array().unwrap().len(), 2, "{case}");
        }
        assert_eq!(case["in_flight"]["samples"].as_array().unwrap().len(), 2, "{case}");
        assert!(case["blocks_verified"].as_u64().unwrap() > 0, "{case}");
        let (slow, idle) = (case["disk"] == "slow", case["depth"] == 0);
        assert_eq!(case["latency_ms"], if slow { 100.into() } else { Value::Null }, "{case}");
        assert_eq!(case["pause_ratio_to_fast"].is_f64(), slow, "{case}");
        assert_eq!(case["pause_ratio_to_idle"].is_f64(), !idle, "{case}");
        if case["inflight"] == "drain" || idle {
            assert_eq!(case["in_flight"]["max"], 0, "{case}");
        }
    }
    assert_eq!(report.text().matches('\n').count(), 3 + 1 + 8);
}

#[test]
fn bench_blk_has_a_case_per_direction_size_and_depth() {
    let line = "blk --json --samples 2 --depth 1,8 --block 4K --size 2M --memory 16M";
    let Some(report) = report(line) else { return };
    assert!(report.is_well());
    let json = report.json().unwrap();
    assert_eq!(json["bench"], "blk");
    assert!(json["direct"].is_boolean());
    for cost in ["exit_us", "doorbell_us", "wake_up_us"] {
        assert!(json["exits"][cost]["p50"].is_f64(), "{}", json["exits"]);
    }
    let cases = cases(&report);
    assert_eq!(cases.len(), 4);
    for (case, direction) in
        cases.iter().zip(["from-device", "from-device", "to-device", "to-device"])
    {
        assert_eq!((&case["direction"], &case["n"]), (&direction.into(), &2.into()));
        for value in ["guest_iops", "bare_iops", "guest_mib_per_s", "bare_mib_per_s", "ratio"] {
            let at = |place: &str| case[value][place].as_f64().unwrap();
            assert!(0.0 < at("min") && at("min") <= at("p50") && at("p50") <= at("max"), "{case}");
        }
        assert!(case["doorbells_per_transfer"].as_f64().unwrap() > 0.0, "{case}");
        for samples in ["guest_samples_us", "bare_samples_us"] {
            assert_eq!(case[samples].as_array().unwrap().len(), 2, "{case}");
        }
    }
    assert!(report.text().contains("a doorbell") && report.text().contains("to-device"));
}

#[test]
fn bench_density_has_both_sides_per_memory_size() {
    let line = "density --json --clones 4 --write 3 --memory 16M,32M --backing hostcow";
    let Some(report) = report(line) else { return };
    assert!(report.is_well());
    let json = report.json().unwrap();
    assert_eq!((&json["bench"], &json["backing"]), (&"density".into(), &"hostcow".into()));
    let found = cases(&report);
    let sides: Vec<_> = found.iter().map(|case| case["side"].as_str().unwrap()).collect();
    assert_eq!(sides, ["clone", "floor", "clone", "floor"]);
    for case in found {
        assert_eq!(case["n"], 4);
        for samples in ["spawn_samples_us", "written_samples_bytes"] {
            assert_eq!(case[samples].as_array().unwrap().len(), 4, "{case}");
        }
        assert!(case["each_bytes"]["written"].as_f64().unwrap() >= 3.0 * 4096.0, "{case}");
        let looks = case["looks"].as_array().unwrap();
        assert_eq!((&looks[0]["alive"], &looks[4]["alive"]), (&0.into(), &4.into()));
        assert!(looks.iter().all(|look| look["process"]["anonymous_bytes"].is_u64()), "{case}");
    }
    let comparisons = json["comparisons"].as_array().unwrap();
    assert_eq!(comparisons.len(), 2);
    assert!(comparisons[1]["limit_bytes"].as_f64().unwrap() >= 65536.0 + 3.0 * 4096.0);
    assert!(report.text().contains("4 clones alive at once"));
}

#[test]
fn bench_pin_has_a_case_per_contention_and_needs_no_guest() {
    let Some(report) = report("pin --json --samples 3") else { return };
    assert!(report.is_well());
    assert!(report.json().unwrap().get("vcpus").is_none());
    let cases = cases(&report);
    let names: Vec<_> = cases.iter().map(|case| case["case"].as_str().unwrap()).collect();
    assert_eq!(names, ["alone", "two-guests", "one-guest", "one-frame"]);
    for case in cases {
        assert_eq!(case["threads"], if case["case"] == "alone" { 1 } else { 2 });
        assert_eq!((&case["n"], case["samples_ns"].as_array().unwrap().len()), (&3.into(), 3));
        for value in ["ratio_p50", "ratio_p99", "speed_up"] {
            assert!(case[value].as_f64().unwrap() > 0.0, "{case}");
        }
    }
}

#[test]
fn options_that_make_no_sense_are_refused() {
    for line in [
        "boot --samples 0",
        "clone --samples 0",
        "density --clones 0",
        "fault --pages 0",
        "cow --runs 0",
        "fork --dirty much",
        "clone --memory ,",
        "fork-io --depth 65",
        "fork-io --disk quick",
        "fork-io --inflight error",
        "fork-io --latency-ms 0",
        "blk --depth 0",
        "blk --depth 65",
        "blk --block 100",
        "blk --block 256K",
        "blk --size 100K",
        "blk --direction up",
        "pin --samples 0",
        "pin --vcpus 1",
    ] {
        let words = std::iter::once("bench").chain(line.split(' '));
        assert!(Line::try_parse_from(words).is_err(), "{line}");
    }
    for line in [
        "fork --dirty 1K",
        "boot --rules mapcount",
        "clone --rules mapcount",
        "fork --rules mapcount",
        "fork-io --rules mapcount",
        "fork-io --dir /no/such/folder",
        "blk --size 1M --block 128K --depth 64",
        "blk --dir /no/such/folder",
        "pin --rules mapcount",
        "density --clones 1000000",
    ] {
        let words = std::iter::once("bench").chain(line.split(' '));
        let refused = measure(Line::try_parse_from(words).unwrap().command);
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
