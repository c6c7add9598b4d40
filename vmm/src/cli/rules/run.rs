//! `pincow rules run`.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use pincow_mmu::host::{HostFeatures, TrapError};
use pincow_mmu::rules::{RuleSet, Rules};
use pincow_mmu::scenario::{Finding, Model, Place, RealMemory, Script, run as run_script};
use serde::Serialize;

use super::choice::{PlaceName, SetChoice, chosen, each_once, tell_known_findings};
use super::input;
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::{Failure, Outcome};

/// Run scenario scripts under rule sets, and print what each showed.
///
/// A script has one operation a line, `#` begins a comment, and `scenario ID` begins a new
/// scenario. The guest P exists at the start; its page has a sector that devices write and one that
/// CPUs write:
///
/// write G | read G | fork G CHILD | destroy G | write_protect G | evict G | hold G | release G |
/// pin G R|W short|long PIN [uncounted] | dma_write PIN | dma_read PIN | unpin PIN
///
/// Findings: LEAK (bytes of another guest were seen), LOST (a device's write was missed), CORRUPT
/// (a CPU's write was missed), STALE (a device saw old bytes), and, which is legal, OLD (a short
/// pin kept the bytes of its time), BUSY (an operation was refused) and WAIT (it had to wait).
///
/// Exit status: 0 when all scripts ran, whatever they showed; 2 when an input is malformed, and
/// then none of them ran.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Scripts; `-` is stdin.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Rule sets by name (see `pincow rules table`), or `all`.
    #[arg(long, value_delimiter = ',', default_value = "all", value_name = "NAME")]
    rules: Vec<SetChoice>,

    /// Where scenarios happen.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "model", value_name = "PLACE")]
    on: Vec<PlaceName>,

    /// Print one JSON object a line for each scenario, rule set and place.
    #[arg(long)]
    json: bool,

    /// Accepted, as by commands that run guests, and not needed.
    #[arg(long = "unsafe")]
    _allow_unsafe: bool,
}

/// What one scenario showed, as it is printed.
#[derive(Serialize)]
struct Line<'a> {
    scenario: &'a str,
    rules: RuleSet,
    on: PlaceName,
    findings: BTreeSet<Finding>,
    copies: u64,
}

pub(super) fn run(args: &Args) -> Outcome {
    let inputs: Result<Vec<_>, _> = args.files.iter().map(|file| input::scripts(file)).collect();
    let scripts: Vec<Script> = inputs?.into_iter().flatten().collect();
    let (sets, places) = (chosen(&args.rules), each_once(args.on.iter().copied()));
    if places.contains(&PlaceName::Memory) {
        HostFeatures::probe().require_trap().map_err(TrapError::from).map_err(no_memory)?;
    }
    sets.iter().for_each(|set| tell_known_findings(*set));

    let mut printer = Printer::new(args.json, &scripts)?;
    let mut progress = Progress::new();
    for (done, script) in scripts.iter().enumerate() {
        progress.at(|| format!("{done} of {} scenarios", scripts.len()));
        for &rules in &sets {
            for &on in &places {
                let (findings, copies) = outcome(script, rules, on)?;
                printer.print(&Line { scenario: &script.id, rules, on, findings, copies })?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs one scenario in a place of its own.
fn outcome(
    script: &Script,
    set: RuleSet,
    on: PlaceName,
) -> Result<(BTreeSet<Finding>, u64), Failure> {
    match on {
        PlaceName::Model => outcome_on(script, &mut Model::of(Rules::from(set))),
        PlaceName::Memory => {
            outcome_on(script, &mut RealMemory::of(Rules::from(set)).map_err(no_memory)?)
        }
    }
}

fn outcome_on(
    script: &Script,
    place: &mut impl Place,
) -> Result<(BTreeSet<Finding>, u64), Failure> {
    let outcome = run_script(script, place).map_err(|error| {
        let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
        Failure::Other(format!("{error}{cause}"))
    })?;
    Ok((outcome.findings, outcome.copies))
}

fn no_memory(error: TrapError) -> Failure {
    Failure::Other(format!("scenarios cannot run on memory here: {error}"))
}

/// Prints lines as they come.
struct Printer {
    out: Output,
    json: bool,
    widest: usize,
}

impl Printer {
    /// Prints the heading, if there is one.
    fn new(json: bool, scripts: &[Script]) -> Result<Self, Failure> {
        let ids = scripts.iter().map(|script| script.id.chars().count());
        let widest = ids.max().unwrap_or(0).max("scenario".len());
        let mut printer = Self { out: Output::new(), json, widest };
        if !json {
            printer.columns(["scenario", "rules", "on", "copies", "findings"])?;
        }
        Ok(printer)
    }

    fn print(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        if self.json {
            return self.out.json(line);
        }
        let names: Vec<_> = line.findings.iter().map(|finding| finding.name()).collect();
        let findings = if names.is_empty() { "ok".to_owned() } else { names.join("+") };
        let [rules, on, copies] =
            [line.rules.to_string(), line.on.to_string(), line.copies.to_string()];
        self.columns([line.scenario, &rules, &on, &copies, &findings])
    }

    fn columns(&mut self, cells: [&str; 5]) -> Result<(), Failure> {
        let ([scenario, rules, on, copies, findings], widest) = (cells, self.widest);
        self.out.text(|to| {
            writeln!(to, "{scenario:widest$}  {rules:15}  {on:6}  {copies:>6}  {findings}")
        })
    }
}
