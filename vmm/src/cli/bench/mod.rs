//! `pincow bench`.

use std::process::ExitCode;

use super::memory_size::MemorySize;
use super::progress::Progress;
use super::{Failure, Outcome, RuleArgs};
use crate::bench::Guests;

mod answers;
mod blk;
mod boot;
mod clone;
mod cow;
mod density;
mod fault;
mod fork;
mod fork_io;
mod machine;
mod page;
mod pin;
mod report;
#[cfg(test)]
mod tests;

use report::Report;

/// Measure boots, clones, forks, write faults, idle clones, disk transfers and pins, beside a floor in the same run.
///
/// The floor of boots, clones, forks, write faults and idle clones is a virtual machine made of the bare KVM calls: the
/// same memory size, payload and vCPU state, over one mapping of a memfd that was there before; that
/// of disk transfers is a bare io_uring loop on the host. Samples of pincow and of the floor take turns.
/// Compare ratios, never absolute times of different machines.
#[derive(clap::Subcommand)]
#[command(max_term_width = 100)]
pub(super) enum Command {
    #[command(flatten)]
    Measure(Measure),
    Report(page::Args),
}

// Without documentation of its own, which clap would show in place of that above.
#[derive(clap::Subcommand)]
pub(super) enum Measure {
    Boot(boot::Args),
    Clone(clone::Args),
    Fork(fork::Args),
    ForkIo(fork_io::Args),
    Fault(fault::Args),
    Cow(cow::Args),
    Density(density::Args),
    Blk(blk::Args),
    Pin(pin::Args),
}

pub(super) fn run(command: Command) -> Outcome {
    let report = match command {
        Command::Measure(bench) => measure(bench)?,
        Command::Report(args) => return page::run(&args),
    };
    report.print()?;
    Ok(if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(bench: Measure) -> Result<Report, Failure> {
    match bench {
        Measure::Boot(args) => boot::run(&args),
        Measure::Clone(args) => clone::run(&args),
        Measure::Fork(args) => fork::run(&args),
        Measure::ForkIo(args) => fork_io::run(&args),
        Measure::Fault(args) => fault::run(&args),
        Measure::Cow(args) => cow::run(&args),
        Measure::Density(args) => density::run(&args),
        Measure::Blk(args) => blk::run(&args),
        Measure::Pin(args) => pin::run(&args),
    }
}

/// The options of every benchmark.
#[derive(Clone, Debug, clap::Args)]
struct Rulings {
    #[command(flatten)]
    rules: RuleArgs,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// The options of every benchmark that runs guests.
#[derive(Clone, Debug, clap::Args)]
struct Common {
    /// How many virtual CPUs.
    #[arg(long, default_value_t = 1, value_name = "N")]
    vcpus: u32,

    #[command(flatten)]
    rulings: Rulings,
}

impl Common {
    fn guests(&self, memory: MemorySize) -> Result<Guests, Failure> {
        let sharing = self.rulings.rules.sharing()?;
        Ok(Guests { memory_bytes: memory.0, vcpus: self.vcpus, sharing })
    }

    /// Guests of each memory size.
    fn cases(&self, memory: &[MemorySize]) -> Result<Vec<(MemorySize, Guests)>, Failure> {
        memory.iter().map(|&memory| Ok((memory, self.guests(memory)?))).collect()
    }

    fn setting(&self) -> Setting<'_> {
        Setting { rulings: &self.rulings, vcpus: Some(self.vcpus) }
    }
}

/// What a report says about how it was taken.
struct Setting<'a> {
    rulings: &'a Rulings,
    /// `None` where no guest runs.
    vcpus: Option<u32>,
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
