//! `pincow rules explore`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use pincow_mmu::rules::{Mutant, RuleSet, Rules};
use pincow_mmu::scenario::{Explored, Explorer, Finding, Limits, Op};
use serde::Serialize;

use super::choice::tell_known_findings;
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::{Failure, Outcome};

#[cfg(test)]
mod tests;

/// Visit every state that guests and devices can bring one page into, and print the shortest
/// script to each kind of finding.
///
/// The rules are those that guests run under, over a model of memory. The scripts can be given to
/// `pincow rules run`. Clean means that `findings` is empty: no LEAK, LOST, CORRUPT or STALE.
/// What is legal (BUSY, WAIT, OLD) stands in `remarks`.
///
/// Exit status: 0 when the exploration was done, whatever it found; 2 when it could not be done.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The rule set: see `pincow rules table`.
    #[arg(long, default_value_t, value_name = "NAME")]
    rules: RuleSet,

    /// Guests that live at a time.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    guests: u8,

    /// Pins that live at a time.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=8))]
    pins: u8,

    /// Let devices also take references that the rules do not know to be pins.
    #[arg(long)]
    uncounted: bool,

    /// Let the host also take references that are no pins.
    #[arg(long)]
    holds: bool,

    /// Leave one rule of `exclusive` out, to see that this would be found.
    #[arg(long, value_name = "NAME", long_help = mutant_help())]
    mutant: Option<Mutant>,

    /// Stop, incomplete, when more states than this were reached.
    #[arg(long, value_name = "N")]
    max_states: Option<usize>,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,

    /// Accepted, as by commands that run guests, and not needed.
    #[arg(long = "unsafe")]
    _allow_unsafe: bool,
}

fn mutant_help() -> String {
    let names: Vec<_> = Mutant::ALL.iter().map(Mutant::to_string).collect();
    format!(
        "Leave one rule of `exclusive` out, to see that this would be found: {}",
        names.join(", ")
    )
}

/// What an exploration found, as it is printed.
#[derive(Serialize)]
struct Report {
    rules: RuleSet,
    mutant: Option<Mutant>,
    guests: u8,
    pins: u8,
    uncounted: bool,
    holds: bool,
    states: usize,
    complete: bool,
    depth: usize,
    seconds: f64,
    findings: BTreeMap<Finding, String>,
    remarks: BTreeMap<Finding, String>,
    known_findings: &'static str,
}

pub(super) fn run(args: &Args) -> Outcome {
    let rules = rules(args.rules, args.mutant)?;
    tell_known_findings(args.rules);
    let begun = Instant::now();
    let explored = explore(args, rules)?;
    let report = Report::new(args, explored, begun.elapsed().as_secs_f64());
    let mut out = Output::new();
    if args.json {
        out.json(&report)?;
    } else {
        out.text(|to| report.write(to))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn rules(set: RuleSet, mutant: Option<Mutant>) -> Result<Rules, Failure> {
    match mutant {
        Some(mutant) if set != RuleSet::Exclusive => Err(Failure::Other(format!(
            "the mutant `{mutant}` leaves a rule of `exclusive` out, and `{set}` is another set: \
             give --rules exclusive"
        ))),
        mutant => Ok(Rules { set, mutant }),
    }
}

fn explore(args: &Args, rules: Rules) -> Result<Explored, Failure> {
    let limits = Limits {
        guests: args.guests.into(),
        pins: args.pins.into(),
        uncounted: args.uncounted,
        holds: args.holds,
    };
    let mut progress = Progress::new();
    let explored = Explorer::new(rules, limits).at_most(args.max_states.unwrap_or(usize::MAX)).run(
        |reached, left| {
            progress.at(|| format!("{reached} states, {left} of them still to be visited"));
            true
        },
    );
    explored.map_err(|error| Failure::Other(format!("the rule core failed: {error}")))
}

impl Report {
    fn new(args: &Args, explored: Explored, seconds: f64) -> Self {
        let Explored { states, complete, depth, findings } = explored;
        let (violations, remarks): (BTreeMap<_, _>, BTreeMap<_, _>) = findings
            .into_iter()
            .map(|(finding, ops)| (finding, text(&ops)))
            .partition(|(finding, _)| finding.is_violation());
        Self {
            rules: args.rules,
            mutant: args.mutant,
            guests: args.guests,
            pins: args.pins,
            uncounted: args.uncounted,
            holds: args.holds,
            states,
            complete,
            depth,
            seconds: (seconds * 1000.0).round() / 1000.0,
            findings: violations,
            remarks,
            known_findings: args.rules.known_findings(),
        }
    }

    fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        let mutant = self.mutant.map_or_else(String::new, |mutant| format!(" with {mutant}"));
        writeln!(to, "{}{mutant}, {} guests, {} pins", self.rules, self.guests, self.pins)?;
        let whole = if self.complete { "every one was visited" } else { "stopped before the end" };
        let (states, depth) = (self.states, self.depth);
        writeln!(
            to,
            "{states} states in {:.1} s, up to {depth} operations deep: {whole}",
            self.seconds
        )?;
        let verdict = match (self.findings.is_empty(), self.complete) {
            (true, true) => "clean: no LEAK, LOST, CORRUPT or STALE",
            (true, false) => "no LEAK, LOST, CORRUPT or STALE so far",
            (false, _) => "NOT clean",
        };
        writeln!(to, "{verdict}")?;
        for (finding, script) in self.findings.iter().chain(&self.remarks) {
            writeln!(to, "\n{finding}:")?;
            script.lines().try_for_each(|line| writeln!(to, "    {line}"))?;
        }
        Ok(())
    }
}

/// A script that `pincow rules run` reads.
fn text(ops: &[Op]) -> String {
    ops.iter().map(|op| format!("{op}\n")).collect()
}
