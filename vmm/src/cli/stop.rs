//! `pincow stop`.

use std::process::ExitCode;

use super::Outcome;
use super::output::Output;
use super::remote::{Target, unexpected};
use crate::control::{How, Request, Response, Stopping};

/// Ask a running guest to end, end it at once with --kill, or forget a snapshot.
///
/// The embedded guest ends what it does, and then itself, with exit code 0. No other guest can be asked so
/// far; the command says so and does nothing (exit status 2). With --kill the guest ends in the middle of
/// whatever it does, as if its power was cut: its vCPUs stop, and its disks have what was written by then,
/// with transfers that are in flight. Its relatives are not affected. A process ends with its last guest.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,

    /// End the guest at once, with its transfers in flight.
    #[arg(long)]
    kill: bool,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let mut remote = args.target.connect()?;
    let response = remote.call(&Request::Stop { id: remote.number, kill: args.kill })?;
    let Response::Stopping(stopping) = &response else { return Err(unexpected(&response)) };
    let mut out = Output::new();
    match args.json {
        true => out.json(stopping)?,
        false => out.text(|to| writeln!(to, "{}  {}", remote.name(stopping.id), told(stopping)))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn told(stopping: &Stopping) -> String {
    match (stopping.how, &stopping.ended) {
        (How::Killed, _) => {
            format!("killed, with {} disk transfers in flight", stopping.transfers_in_flight)
        }
        (How::WasOver, Some(reason)) => format!("had ended before: {reason}"),
        (How::WasOver, None) => "had ended before".to_owned(),
        (How::Told, _) => "was told to end".to_owned(),
        (How::Forgotten, _) => "is forgotten".to_owned(),
    }
}
