//! `pincow balloon`.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::memory_size::{MemorySize, rounded};
use super::output::Output;
use super::remote::{Remote, Target, unexpected};
use super::{Failure, Outcome};
use crate::control::{BalloonStats, GuestState, Request, Response};

/// Take memory from a running guest, or give it back.
///
/// The guest's balloon (`pincow run --balloon`) is to hold SIZE from now on; its driver gives up pages until
/// it does, and their memory goes back to this host. A smaller SIZE gives memory back to the guest, 0 all of
/// it. A guest that has no memory to spare takes back what it needs. Free memory goes back by itself, without
/// this command, if the guest's driver reports it, as Linux' does from 5.7 on.
///
///   pincow balloon 4711.1 128M
///
/// The exit status is 1 if the guest was not done within the time of --wait; it may still get there.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,

    /// How much memory the balloon is to hold, such as 128M: less than the guest has.
    size: MemorySize,

    /// How long to wait until the guest is done, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    wait: u32,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// How often it is looked whether the guest is done.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A balloon, with its guest's name.
#[derive(Serialize)]
struct Json {
    name: String,
    done: bool,
    #[serde(flatten)]
    balloon: BalloonStats,
}

pub(super) fn run(args: &Args) -> Outcome {
    let mut remote = args.target.connect()?;
    let response = remote.call(&Request::Balloon { id: remote.number, bytes: args.size.0 })?;
    let Response::Balloon { mut balloon, .. } = response else { return Err(unexpected(&response)) };
    let deadline = Instant::now() + Duration::from_secs(args.wait.into());
    while balloon.actual_bytes != balloon.target_bytes && Instant::now() < deadline {
        thread::sleep(LOOK_EVERY);
        balloon = look(&mut remote)?;
    }
    let done = balloon.actual_bytes == balloon.target_bytes;
    let name = remote.name(remote.number).to_string();
    let mut out = Output::new();
    if args.json {
        out.json(&Json { name, done, balloon })?;
    } else {
        let [target, actual] = [balloon.target_bytes, balloon.actual_bytes].map(rounded);
        out.text(|to| writeln!(to, "{name}  its balloon holds {actual}, and is to hold {target}"))?;
    }
    Ok(ExitCode::from(u8::from(!done)))
}

/// The balloon as it is now.
fn look(remote: &mut Remote) -> Result<BalloonStats, Failure> {
    let response = remote.call(&Request::Stats { id: remote.number })?;
    let Response::Stats(stats) = &response else { return Err(unexpected(&response)) };
    match (&stats.guest.state, stats.balloon) {
        (GuestState::Ended(reason), _) => {
            Err(Failure::Other(format!("the guest has ended meanwhile: {reason}")))
        }
        (_, Some(balloon)) => Ok(balloon),
        (_, None) => Err(unexpected(&response)),
    }
}
