//! `pincow run`.

use super::Outcome;

/// Boot a guest.
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: Args) -> Outcome {
    Err(super::Failure::Other("not there yet".into()))
}
