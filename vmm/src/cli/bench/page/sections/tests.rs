//! What benchmarks print, made up, and how it is named.

use serde_json::{Value, json};

use super::super::input::{Run, parse};
use super::{named, sections};

/// What every benchmark prints, with these cases.
pub(in super::super) fn document(bench: &str, backing: &str, cases: Value) -> Value {
    json!({
        "format": "pincow-bench", "version": 1, "bench": bench,
        "command": format!("pincow bench {bench} --json --backing {backing}"),
        "machine": { "kernel": "6.18.0", "cpu": "Test CPU", "cores": 2 },
        "rules": "single-refcount", "known_findings": "", "backing": backing, "vcpus": 1,
        "violations": [], "cases": cases,
    })
}

pub(in super::super) fn clone_case(ours: &[f64], floor: &[f64], to_answer: &[f64]) -> Value {
    made_case("clone_samples_us", ours, floor, to_answer)
}

fn made_case(field: &str, ours: &[f64], floor: &[f64], to_answer: &[f64]) -> Value {
    json!({
        "memory_bytes": 64 << 20, "n": ours.len(), field: ours,
        "floor_samples_us": floor, "floor_to_answer_samples_us": to_answer,
    })
}

pub(in super::super) fn fork_case(dirty: u64, pause: &[f64], floor: &[f64], allowed: f64) -> Value {
    let child: Vec<f64> = pause.iter().map(|us| us * 3.0).collect();
    json!({
        "memory_bytes": dirty * 4, "dirty_bytes": dirty, "layout": "contiguous", "n": pause.len(),
        "pause_samples_us": pause, "floor_pause_samples_us": floor,
        "steps": { "allowed_pause_us": allowed },
        "child_samples_us": child, "floor_samples_us": child, "floor_to_answer_samples_us": child,
    })
}

pub(in super::super) fn fault_case(kind: &str, ours: &[f64], floor: &[f64]) -> Value {
    json!({
        "case": kind, "memory_bytes": 64 << 20, "pages": 1024, "n": ours.len(),
        "samples_us": ours, "floor_samples_us": floor,
    })
}

fn cow_case(method: &str, run: u64, guest: &[f64], cpu: &[f64]) -> Value {
    json!({
        "method": method, "memory_bytes": 256 << 20, "pages": 1000, "run": run, "n": guest.len(),
        "guest_samples_us": guest, "cpu_samples_us": cpu, "copied_samples": vec![1004.0; guest.len()],
    })
}

fn cow_cases(samples: &[f64]) -> Value {
    ["kernel", "plain"].map(|method| cow_case(method, 8, samples, samples)).to_vec().into()
}

fn fork_io_case(policy: &str, depth: u64, pause: &[f64]) -> Value {
    json!({
        "depth": depth, "disk": "slow", "latency_ms": 50, "inflight": policy, "n": pause.len(),
        "in_flight": { "min": 0, "p50": depth, "max": depth },
        "pause_samples_us": pause, "child_first_samples_us": pause,
    })
}

fn blk_case(guest: &[f64], bare: &[f64]) -> Value {
    json!({
        "direction": "from-device", "block_bytes": 4096, "depth": 64, "n": guest.len(),
        "transfers": 1000, "doorbells_per_transfer": 0.5, "disk_thread_us_per_transfer": 3.1,
        "guest_samples_us": guest, "bare_samples_us": bare,
    })
}

fn pin_case(ours: &[f64], floor: &[f64]) -> Value {
    json!({
        "case": "alone", "threads": 1, "n": ours.len(), "speed_up": 1.0,
        "samples_ns": ours, "floor_samples_ns": floor,
    })
}

/// So many guests, each of which adds so many bytes.
pub(in super::super) fn density_case(side: &str, guests: u64, each: u64, spawn: &[f64]) -> Value {
    let look = |alive: u64| {
        let bytes = 5000 + alive * each;
        let anonymous = bytes / 4;
        json!({
            "alive": alive, "memfd_bytes": bytes - anonymous,
            "process": { "anonymous_bytes": anonymous },
        })
    };
    json!({
        "side": side, "memory_bytes": 64 << 20, "n": spawn.len(), "spawn_samples_us": spawn,
        "each_bytes": { "written": 4096.0 }, "looks": [look(0), look(guests / 2), look(guests)],
    })
}

/// One document for each benchmark, all of whose samples are these.
pub(in super::super) fn all_of(samples: &[f64]) -> Vec<Value> {
    [
        ("clone", clone_case(samples, samples, samples)),
        ("fork", fork_case(16 << 20, samples, samples, 2000.0)),
        ("fault", fault_case("copy", samples, samples)),
        ("fork-io", fork_io_case("reissue", 8, samples)),
        ("blk", blk_case(samples, samples)),
        ("pin", pin_case(samples, samples)),
        ("boot", made_case("boot_samples_us", samples, samples, samples)),
    ]
    .map(|(bench, case)| document(bench, "hostcow", json!([case])))
    .into_iter()
    .chain([
        density(&[density_case("clone", 10, 1, samples), density_case("floor", 10, 1, samples)]),
        document("cow", "hostcow", cow_cases(samples)),
    ])
    .collect()
}

pub(in super::super) fn density(cases: &[Value]) -> Value {
    document("density", "hostcow", cases.into())
}

pub(in super::super) fn runs(documents: &[Value]) -> Vec<Run> {
    let text: String = documents.iter().map(|document| document.to_string() + "\n").collect();
    parse(&text, "made-up.json").unwrap()
}

fn markdown(documents: &[Value]) -> String {
    super::super::html::markdown(&sections(&runs(documents)).unwrap(), &[])
}

#[test]
fn tables_have_spreads_and_ratios_of_the_samples() {
    let samples: Vec<f64> = (1..=100).map(f64::from).collect();
    let half: Vec<f64> = samples.iter().map(|us| us / 2.0).collect();
    let clone = document("clone", "trap", json!([clone_case(&samples, &half, &samples)]));
    let row = "| trap | 64M | 100 | 50.0 | 99.0 | 25.0 | 49.5 | 2.00 | 2.00 | 50.0 | 1.00 |";
    assert!(markdown(&[clone]).contains(row));
    let boot = made_case("boot_samples_us", &samples, &half, &samples);
    assert!(markdown(&[document("boot", "trap", json!([boot]))]).contains(row));
    let fork = document("fork", "trap", json!([fork_case(16 << 20, &samples, &half, 2600.4)]));
    let row = "| trap | contiguous | 16M | 64M | 100 | 50.0 | 99.0 | 25.0 | 2.00 | 2600 | 150 | \
               297 | 150 | 1.00 | 150 | 1.00 |";
    assert!(markdown(&[fork]).contains(row));
    let fault = document("fault", "trap", json!([fault_case("reuse", &half, &samples)]));
    let row = "| trap | reuse | 64M | 1024 | 100 | 25.0 | 49.5 | 50.0 | 99.0 | 0.50 | 0.50 |";
    assert!(markdown(&[fault]).contains(row));
    let pin = document("pin", "trap", json!([pin_case(&samples, &half)]));
    let row = "| trap | alone | 1 | 100 | 50.0 | 99.0 | 25.0 | 49.5 | 2.00 | 2.00 | 1.00 |";
    assert!(markdown(&[pin]).contains(row));
}

#[test]
fn reissue_is_compared_with_drain_on_the_same_disk_at_the_same_depth() {
    let cases = json!([
        fork_io_case("reissue", 8, &[100.0]),
        fork_io_case("reissue", 64, &[300.0]),
        fork_io_case("drain", 8, &[2000.0]),
    ]);
    let text = markdown(&[document("fork-io", "trap", cases)]);
    assert!(text.contains("| slow, 50 ms | reissue | 8 | 1 | 8 (0-8) | 100 | 100 | 0.05 |"));
    assert!(text.contains("| slow, 50 ms | reissue | 64 | 1 | 64 (0-64) | 300 | 300 | - |"));
    assert!(text.contains("| slow, 50 ms | drain | 8 | 1 | 8 (0-8) | 2000 | 2000 | - |"), "{text}");
}

#[test]
fn first_writes_are_compared_with_the_kernels_of_the_same_pattern() {
    let plain = cow_case("plain", 40, &[300.0, 300.0], &[500.0, 500.0]);
    let others =
        [cow_case("kernel", 1, &[9000.0], &[9000.0]), cow_case("kernel", 40, &[200.0], &[1000.0])];
    let cases: Vec<Value> = others.into_iter().chain([plain.clone()]).collect();
    let text = markdown(&[document("cow", "hostcow", cases.into())]);
    let row =
        "| hostcow | plain | 256M | 1000 | 40 | 2 | 1004 | 300 | 300 | 1.50 | 500 | 500 | 0.50 |";
    assert!(text.contains(row), "{text}");
    let alone = runs(&[document("cow", "hostcow", json!([plain]))]);
    let error = sections(&alone).unwrap_err().to_string();
    assert!(error.contains("no case `kernel`"), "{error}");
}

#[test]
fn transfers_in_a_second_are_compared_turn_by_turn() {
    // 1000 transfers in 0.1 s are 10000 in a second.
    let case = blk_case(&[100_000.0, 200_000.0, 50_000.0], &[50_000.0, 50_000.0, 50_000.0]);
    let text = markdown(&[document("blk", "trap", json!([case]))]);
    let row = "| trap | from-device | 4K | 64 | 3 | 10,000 | 5,000-20,000 | 20,000 | \
               20,000-20,000 | 0.50 | 0.25-1.00 | 0.50 | 3.1 |";
    assert!(text.contains(row), "{text}");
}

#[test]
fn memory_is_what_was_added_since_nobody_was_alive() {
    let clones = density_case("clone", 1000, 204_800, &[900.0, 900.0]);
    let floor = density_case("floor", 1000, 102_400, &[600.0, 600.0]);
    let text = markdown(&[density(&[clones.clone(), floor])]);
    let row = "| hostcow | 64M | 2 | 200.0 | 100.0 | 100.0 | 4.0 | 900 | 900 | 600 | 600 | 1.50 |";
    assert!(text.contains(row), "{text}");
    let alone = runs(&[density(&[clones])]);
    let error = sections(&alone).unwrap_err().to_string();
    assert!(error.contains("no floor for `memory_bytes` 67108864"), "{error}");
}

#[test]
fn runs_are_told_apart() {
    let names = |documents: &[Value]| -> Vec<String> {
        let runs = runs(documents);
        let runs: Vec<&Run> = runs.iter().collect();
        named(&runs).into_iter().map(|named| named.name).collect()
    };
    let of =
        |backing: &str| document("clone", backing, json!([clone_case(&[1.0], &[1.0], &[1.0])]));
    let (mut more, mut other) = (of("trap"), of("trap"));
    more["vcpus"] = 4.into();
    other["rules"] = "wait".into();
    assert_eq!(names(&[of("trap"), of("hostcow")]), ["trap", "hostcow"]);
    assert_eq!(names(&[of("trap"), of("trap"), of("trap")]), ["trap", "trap (2)", "trap (3)"]);
    assert_eq!(names(&[of("trap"), more]), ["trap 1 vCPU", "trap 4 vCPU"]);
    assert_eq!(names(&[of("trap"), other]), ["trap single-refcount", "trap wait"]);
}

#[test]
fn a_benchmark_that_has_no_place_on_the_page_is_refused() {
    let error = sections(&runs(&[document("sleep", "trap", json!([{}]))])).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("made-up.json") && text.contains("`sleep`"), "{text}");
    assert!(text.contains("boot, clone, fork, fault, cow, fork-io, blk, pin, density"), "{text}");
}
