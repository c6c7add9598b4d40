//! `pincow disk`: make overlays, and look into them.

use super::Outcome;

mod check;
mod create;
mod flatten;
mod info;
#[cfg(test)]
mod tests;

/// Make, inspect, check and flatten the overlays of disks that fork.
///
/// Nothing here writes to a base, and no output replaces a file that is there.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    Create(create::Args),
    Info(info::Args),
    Check(check::Args),
    Flatten(flatten::Args),
}

pub(super) fn run(command: Command) -> Outcome {
    match command {
        Command::Create(args) => create::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Flatten(args) => flatten::run(&args),
    }
}
