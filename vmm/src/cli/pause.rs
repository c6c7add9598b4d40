//! `pincow pause`.

use super::Outcome;
use super::remote::Target;
use super::resume::show;
use crate::control::Request;

/// Let a running guest stand still until `pincow resume`.
///
/// Its vCPUs stop where they are. Transfers that its disks have in flight end, and its clocks go on. A paused
/// guest can be forked, and its child is paused too; it can be snapshotted, and stopped with --kill.
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
    let response = remote.call(&Request::Pause { id: remote.number })?;
    show(&remote, response, args.json)
}
