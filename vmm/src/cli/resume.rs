//! `pincow resume`.

use std::process::ExitCode;

use super::Outcome;
use super::output::Output;
use super::remote::{Remote, Target, unexpected};
use crate::control::{Request, Response};

/// Let a paused guest go on. Nothing happens to one that runs.
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
    let response = remote.call(&Request::Resume { id: remote.number })?;
    show(&remote, response, args.json)
}

/// What the guest does now.
pub(super) fn show(remote: &Remote, response: Response, json: bool) -> Outcome {
    let Response::State { id, state } = &response else { return Err(unexpected(&response)) };
    let mut out = Output::new();
    match json {
        true => out.json(&response)?,
        false => out.text(|to| writeln!(to, "{}  {state}", remote.name(*id)))?,
    }
    Ok(ExitCode::SUCCESS)
}
