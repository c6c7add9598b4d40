//! `pincow rules`: show, try and prove the rules that decide about shared pages.

use super::Outcome;

mod choice;
mod decisions;
mod explore;
mod input;
mod places;
mod rows;
mod run;
mod sets;
mod table;

/// Show, try and prove the rules that decide about shared pages.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    Table(table::Args),
    Run(run::Args),
    Explore(explore::Args),
}

pub(super) fn run(command: Command) -> Outcome {
    match command {
        Command::Table(args) => table::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Explore(args) => explore::run(&args),
    }
}
