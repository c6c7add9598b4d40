//! The `pincow` command: each subcommand in a file of its own.
//!
//! Data goes to stdout, talk to stderr. With `--json` stdout holds JSON and nothing else. Exit
//! status 0 means that all is well, 1 that something was found, and 2 that the command could not do
//! its work: bad input, or a host that lacks something. `run` and `exec` have statuses of their own, which
//! are those of what they run.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod agent_args;
mod balloon;
mod bench;
mod copy;
mod demo;
mod disk;
mod disk_args;
mod doctor;
mod exec;
mod failure;
mod fork;
mod guest_args;
mod hostname;
mod memory_size;
mod net_args;
mod output;
mod own_args;
mod pause;
mod progress;
mod ps;
mod remote;
mod resume;
mod rules;
mod run;
mod snapshot;
mod spawn;
mod spread;
mod stats;
mod stop;
mod stress;
mod vsock_args;

use failure::Failure;
use guest_args::{GuestArgs, RuleArgs, open_host};

/// What most commands end with.
type Outcome = Result<ExitCode, Failure>;

/// Fork running KVM guests, and lose, tear and leak nothing.
///
/// A guest's memory is a set of reference-counted frames that parent, children and snapshots share
/// copy-on-write. One count per frame decides whether a write may reuse it, whether a fork may share
/// it and whether it may be evicted.
#[derive(Parser)]
#[command(name = "pincow", version, max_term_width = 100)]
#[command(after_help = "Start with `pincow doctor`, which says what this host offers, and \
`pincow demo`, which shows what pincow does.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Args),
    Ps(ps::Args),
    Pause(pause::Args),
    Resume(resume::Args),
    Fork(fork::Args),
    Snapshot(snapshot::Args),
    Spawn(spawn::Args),
    Stop(stop::Args),
    Stats(stats::Args),
    Balloon(balloon::Args),
    Exec(exec::Args),
    Copy(copy::Args),
    Demo(demo::Args),
    #[command(subcommand)]
    Rules(rules::Command),
    #[command(subcommand)]
    Bench(bench::Command),
    #[command(subcommand)]
    Disk(disk::Command),
    Stress(stress::Args),
    Doctor(doctor::Args),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, everything else is bad input.
            let status = if error.use_stderr() { failure::STATUS } else { 0 };
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    let outcome = match cli.command {
        Command::Run(args) => run::run(args),
        Command::Ps(args) => ps::run(&args),
        Command::Pause(args) => pause::run(&args),
        Command::Resume(args) => resume::run(&args),
        Command::Fork(args) => fork::run(&args),
        Command::Snapshot(args) => snapshot::run(&args),
        Command::Spawn(args) => spawn::run(&args),
        Command::Stop(args) => stop::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Balloon(args) => balloon::run(&args),
        Command::Exec(args) => Ok(exec::run(args)),
        Command::Copy(args) => copy::run(args),
        Command::Demo(args) => demo::run(&args),
        Command::Rules(command) => rules::run(command),
        Command::Bench(command) => bench::run(command),
        Command::Disk(command) => disk::run(command),
        Command::Stress(args) => stress::run(&args),
        Command::Doctor(args) => doctor::run(&args),
    };
    outcome.unwrap_or_else(|failure| {
        eprintln!("pincow: {failure}");
        ExitCode::from(failure::STATUS)
    })
}
