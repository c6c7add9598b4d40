//! `pincow rules`.

use super::Outcome;

/// Show, try and prove the rules that decide about shared pages.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Print the decision table.
    Table,
}

pub(super) fn run(command: Command) -> Outcome {
    match command {
        Command::Table => Err(super::Failure::Other("not there yet".into())),
    }
}
