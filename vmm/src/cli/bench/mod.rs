//! `pincow bench`.

use std::process::ExitCode;

use pincow_mmu::rules::RuleSet;

use super::memory_size::MemorySize;
use super::progress::Progress;
use super::{GuestArgs, Outcome};
use crate::bench::Guests;
use crate::guest::BackingKind;

mod clone;
mod fault;
mod fork;
mod machine;
mod report;
#[cfg(test)]
mod tests;

/// Measure clones, forks and write faults, each beside a floor taken in the same run.
///
/// The floor is a virtual machine made of the bare KVM calls: the same memory size, payload and vCPU
/// state, over one mapping of a memfd that was there before. Samples of pincow and of the floor take
/// turns. Compare ratios, never absolute times of different machines.
#[derive(clap::Subcommand)]
#[command(max_term_width = 100)]
pub(super) enum Command {
    Clone(clone::Args),
    Fork(fork::Args),
    Fault(fault::Args),
}

pub(super) fn run(command: Command) -> Outcome {
    let report = match command {
        Command::Clone(args) => clone::run(&args)?,
        Command::Fork(args) => fork::run(&args)?,
        Command::Fault(args) => fault::run(&args)?,
    };
    report.print()?;
    Ok(if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The options of every benchmark.
#[derive(Clone, Debug, clap::Args)]
struct Common {
    /// How many virtual CPUs.
    #[arg(long, default_value_t = 1, value_name = "N")]
    vcpus: u32,

    /// What decides when frames are copied, shared and reused: see `pincow rules table`.
    #[arg(long, default_value_t, value_name = "NAME")]
    rules: RuleSet,

    /// How guest memory is shared.
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    backing: BackingKind,

    /// Allow a rule set that is known to lose data (`mapcount`).
    #[arg(long = "unsafe")]
    allow_unsafe: bool,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Common {
    /// The same as what other commands take.
    fn guest_args(&self, memory: MemorySize) -> GuestArgs {
        let Self { vcpus, rules, backing, allow_unsafe, .. } = *self;
        GuestArgs { memory, vcpus, rules, backing, allow_unsafe }
    }

    fn guests(&self, memory: MemorySize) -> Result<Guests, super::Failure> {
        let rules = self.guest_args(memory).rules()?;
        Ok(Guests { memory_bytes: memory.0, vcpus: self.vcpus, rules })
    }
}

/// Tells how far a case is.
fn watching<'a>(progress: &'a mut Progress, case: &'a str) -> impl FnMut(&str, usize, usize) + 'a {
    move |what, step, steps| progress.at(|| format!("{case}: {what} ({step} of {steps})"))
}

/// At least one, and not more than anybody waits for.
fn samples_in_range(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(samples @ 1..=1_000_000) => Ok(samples),
        _ => Err("write a number from 1 to 1000000".into()),
    }
}
