//! `pincow spawn`.

use std::process::ExitCode;

use super::Outcome;
use super::fork::show;
use super::own_args::OwnArgs;
use super::remote::Target;
use crate::control::Request;

/// Make guests of a snapshot (`pincow snapshot`), in its process.
///
/// Each goes on from the moment of the snapshot, on memory and disks that it shares with the others until one
/// of them writes. It runs, even if the guest of the snapshot was paused then.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    own: OwnArgs,

    /// Print one JSON object for each guest.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let each = args.own.each()?;
    let mut remote = args.target.connect()?;
    for (number, own) in (1..).zip(each) {
        let response = remote.call(&Request::Spawn { id: remote.number, own })?;
        let id = show(&remote, &response, args.json)?;
        args.own.finish(&args.target, number, id)?;
    }
    Ok(ExitCode::SUCCESS)
}
