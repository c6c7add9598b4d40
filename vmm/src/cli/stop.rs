//! `pincow stop`.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use super::output::Output;
use super::remote::{Remote, Target, unexpected};
use super::{Failure, Outcome};
use crate::control::{ClientError, GuestState, How, Request, Response, Stopping};

/// Ask a running guest to end, end it at once with --kill, or forget a snapshot.
///
/// The embedded guest ends what it does, and then itself, with exit code 0. In a Linux guest the agent
/// (see `pincow exec`) runs `poweroff`, so that init ends what runs and unmounts its disks. The command waits
/// until the guest has ended, and says so if it has not within the time of --wait (exit status 1). A guest
/// that cannot be asked is left as it is (exit status 2).
///
/// With --kill the guest ends in the middle of whatever it does, as if its power was cut: its vCPUs stop, and
/// its disks have what was written by then, with transfers that are in flight. Its relatives are not
/// affected. A process ends with its last guest.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,

    /// End the guest at once, with its transfers in flight.
    #[arg(long)]
    kill: bool,

    /// How long to wait for a guest that was asked, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u32,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// How often it is looked whether the guest has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What became of a guest that was asked to end.
enum Asked {
    /// It has ended.
    Ended,
    /// It was the last one: its process has ended, too.
    Gone,
    /// It goes on.
    GoesOn,
}

pub(super) fn run(args: &Args) -> Outcome {
    let mut remote = args.target.connect()?;
    let response = remote.call(&Request::Stop { id: remote.number, kill: args.kill })?;
    let Response::Stopping(mut stopping) = response else { return Err(unexpected(&response)) };
    let asked = match stopping.how {
        How::Told => wait(&mut remote, &mut stopping, Duration::from_secs(args.wait.into()))?,
        How::Killed | How::WasOver | How::Forgotten => Asked::Ended,
    };
    let name = remote.name(stopping.id);
    let mut out = Output::new();
    match args.json {
        true => out.json(&stopping)?,
        false => out.text(|to| writeln!(to, "{name}  {}", told(&stopping, &asked)))?,
    }
    if let Asked::GoesOn = asked {
        eprintln!(
            "pincow: {name} was told to end and has not within {} s: wait longer (--wait), or end it at once \
             with --kill",
            args.wait
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits until a guest has ended that was told to.
fn wait(remote: &mut Remote, stopping: &mut Stopping, most: Duration) -> Result<Asked, Failure> {
    let deadline = Instant::now() + most;
    loop {
        match remote.call(&Request::Stats { id: remote.number }) {
            Ok(Response::Stats(stats)) => {
                if let GuestState::Ended(reason) = stats.guest.state {
                    stopping.ended = Some(reason);
                    return Ok(Asked::Ended);
                }
            }
            Ok(other) => return Err(unexpected(&other)),
            Err(Failure::Client(ClientError::Gone { .. } | ClientError::Broken { .. })) => {
                return Ok(Asked::Gone);
            }
            Err(failure) => return Err(failure),
        }
        if Instant::now() >= deadline {
            return Ok(Asked::GoesOn);
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn told(stopping: &Stopping, asked: &Asked) -> String {
    match (stopping.how, &stopping.ended) {
        (How::Killed, _) => {
            format!("killed, with {} disk transfers in flight", stopping.transfers_in_flight)
        }
        (How::WasOver, Some(reason)) => format!("had ended before: {reason}"),
        (How::WasOver, None) => "had ended before".to_owned(),
        (How::Told, Some(reason)) => format!("was told to end, and has: {reason}"),
        (How::Told, None) => match asked {
            Asked::Gone | Asked::Ended => "was told to end, and has, with its process".to_owned(),
            Asked::GoesOn => "was told to end".to_owned(),
        },
        (How::Forgotten, _) => "is forgotten".to_owned(),
    }
}
