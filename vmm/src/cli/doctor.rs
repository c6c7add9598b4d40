//! `pincow doctor`.

use super::Outcome;

/// Say what this host offers to pincow, and what is missing.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let _ = args.json;
    Err(super::Failure::Other("not there yet".into()))
}
