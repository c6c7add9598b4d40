//! `pincow stress`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::output::Output;
use super::progress::Progress;
use super::{GuestArgs, Outcome};
use crate::stress::{self, Control, Plan, Report};

/// Fork guests with disk transfers in flight, verify every byte, and report what is wrong.
///
/// A guest and its descendants keep many transfers in flight and verify all that they move, and the
/// bytes beside it. They are forked at random moments, snapshotted, evicted from, stopped and read
/// back, and killed. Exit status 0 when nothing was found, 1 when something was. `--control` and
/// `--rules mapcount --unsafe` switch a rule off: then something must be found.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    guest: GuestArgs,

    /// For how long.
    #[arg(long, default_value_t = 30, value_name = "N")]
    seconds: u64,

    /// Where the run's decisions come from. The same number gives the same decisions; when each
    /// happens depends on the machine.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// How many guests live at a time, at most.
    #[arg(long, default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=64))]
    guests: u64,

    /// How many transfers a guest keeps in flight.
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=256))]
    depth: u64,

    /// Where the disk's files are made, and removed again.
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    dir: PathBuf,

    /// Switch one rule off, which must be found: a test of the test.
    #[arg(long, value_enum, value_name = "NAME")]
    control: Option<Control>,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let set = args.guest.rules()?.set;
    let host = args.guest.host()?;
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = args.seed.unwrap_or_else(|| clock.map_or(1, |now| now.as_micros() as u64));
    let plan = Plan {
        seconds: args.seconds,
        seed,
        set,
        control: args.control,
        memory_bytes: args.guest.memory.0,
        guests: args.guests as usize,
        depth: args.depth,
        folder: args.dir.clone(),
    };
    let mut progress = Progress::new();
    let report = stress::run(&host, &plan, |report| {
        progress.at(|| format!("{} forks, nothing found", report.forks));
        true
    })?;
    drop(progress);
    let mut out = Output::new();
    match args.json {
        true => out.json(&as_json(args, &plan, &report))?,
        false => out.text(|to| tell(to, args, &plan, &report))?,
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The middle and the largest number of transfers in flight.
fn in_flight(report: &Report) -> (usize, usize) {
    let mut counts = report.in_flight_at_fork.clone();
    counts.sort_unstable();
    let middle = counts.get(counts.len() / 2).copied().unwrap_or(0);
    (middle, counts.last().copied().unwrap_or(0))
}

fn switched_off(args: &Args) -> Vec<String> {
    let known = args.guest.known_findings();
    let rules = (!known.is_empty()).then(|| format!("rules {} ({known})", args.guest.rules));
    let control = args.control.map(|control| format!("control {control:?}"));
    rules.into_iter().chain(control).collect()
}

fn first(report: &Report) -> Value {
    report.first.map_or(Value::Null, |(guest, finding)| {
        json!({
            "guest": guest,
            "kind": finding.kind.name(),
            "gfn": finding.address / 4096,
            "address": finding.address,
            "sector": finding.sector,
            "transfer": finding.transfer,
            "expected": finding.expected,
            "found": finding.found,
        })
    })
}

fn as_json(args: &Args, plan: &Plan, report: &Report) -> Value {
    let (p50, max) = in_flight(report);
    json!({
        "seed": plan.seed,
        "rules": args.guest.rules.to_string(),
        "switched_off": switched_off(args),
        "forks": report.forks,
        "snapshots": report.snapshots,
        "guests_peak": report.guests_peak,
        "killed": report.killed,
        "transfers": report.transfers,
        "bytes": report.bytes,
        "in_flight_at_fork": { "p50": p50, "max": max },
        "early_copies": report.early_copies,
        "reissued": report.reissued,
        "evictions": report.evictions,
        "evictions_refused": report.busy,
        "swapped_in": report.swapped_in,
        "sectors_read_back": report.read_back,
        "findings": report.findings,
        "first_finding": first(report),
        "violations": report.violations,
    })
}

fn tell(to: &mut dyn Write, args: &Args, plan: &Plan, report: &Report) -> io::Result<()> {
    let (p50, max) = in_flight(report);
    writeln!(to, "seed       {}", plan.seed)?;
    for off in switched_off(args) {
        writeln!(to, "off        {off}")?;
    }
    writeln!(
        to,
        "forks      {}, with {p50} transfers in flight (p50; {max} at most)",
        report.forks
    )?;
    writeln!(
        to,
        "guests     {} at a time at most; {} killed, {} snapshots",
        report.guests_peak, report.killed, report.snapshots
    )?;
    writeln!(
        to,
        "transfers  {} ({} MiB), {} issued again by children",
        report.transfers,
        report.bytes >> 20,
        report.reissued
    )?;
    writeln!(
        to,
        "frames     {} copied early; {} evicted, {} read back, {} evictions refused",
        report.early_copies, report.evictions, report.swapped_in, report.busy
    )?;
    for (kind, count) in &report.findings {
        writeln!(to, "FOUND      {kind}: {count}")?;
    }
    if let Some((guest, finding)) = report.first {
        writeln!(to, "first      guest {guest}: {finding:x?}")?;
    }
    for violation in &report.violations {
        writeln!(to, "VIOLATION  {violation}")?;
    }
    let verdict = if report.is_clean() { "nothing lost, torn or leaked" } else { "found" };
    writeln!(to, "verdict    {verdict}")
}
