//! `pincow bench`.

use super::Outcome;

/// Measure beside a floor, in the same run.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Clones of a snapshot.
    Clone,
}

pub(super) fn run(command: Command) -> Outcome {
    match command {
        Command::Clone => Err(super::Failure::Other("not there yet".into())),
    }
}
