//! `pincow snapshot`.

use std::process::ExitCode;

use super::Outcome;
use super::fork::show;
use super::remote::Target;
use crate::control::Request;

/// Keep what a running guest is at this moment.
///
/// The snapshot is in the memory of the guest's process: it lives as long as that process does, and there is
/// no file of it. `pincow spawn` makes guests of it, `pincow stop` forgets it. It does not keep the process
/// alive when all guests have ended.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let mut remote = args.target.connect()?;
    let response = remote.call(&Request::Snapshot { id: remote.number })?;
    show(&remote, &response, args.json)?;
    Ok(ExitCode::SUCCESS)
}
