//! `pincow fork`.

use std::process::ExitCode;

use serde::Serialize;

use super::output::Output;
use super::own_args::OwnArgs;
use super::remote::{Name, Remote, Target, unexpected};
use super::{Failure, Outcome};
use crate::control::{Made, Request, Response};

/// Fork a running guest, with its disk transfers in flight.
///
/// The child stands where the guest was at that moment, and shares all memory and disks with it
/// until one of them writes; what the child writes to its disks ends with the process. Both go on
/// at once, unless the guest is paused: then its child is too. The child's name is printed, and how
/// long its parent stood still.
///
///   pincow fork 4711.1 --count 3 --serial child-{}.log --net tap=tap{} --hostname child-{}
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    own: OwnArgs,

    /// Print one JSON object for each child.
    #[arg(long)]
    json: bool,
}

/// What was made, with its name.
#[derive(Serialize)]
struct Json<'a> {
    name: String,
    #[serde(flatten)]
    made: &'a Made,
}

pub(super) fn run(args: &Args) -> Outcome {
    let each = args.own.each()?;
    args.own.check(&args.target)?;
    let mut remote = args.target.connect()?;
    for (number, own) in (1..).zip(each) {
        let response = remote.call(&Request::Fork { id: remote.number, own })?;
        let id = show(&remote, &response, args.json)?;
        args.own.finish(&args.target, number, id)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what was made, and how. Returns its name.
pub(super) fn show(remote: &Remote, response: &Response, json: bool) -> Result<Name, Failure> {
    let Response::Made(made) = response else { return Err(unexpected(response)) };
    let (name, parent) = (remote.name(made.id), remote.name(made.parent));
    let mut out = Output::new();
    if json {
        out.json(&Json { name: name.to_string(), made })?;
        return Ok(name);
    }
    out.text(|to| {
        write!(to, "{name}  of {parent}")?;
        if made.pause_us > 0 {
            let Made { pause_us, transfers_in_flight, .. } = made;
            write!(
                to,
                ", which stood still for {pause_us} us, {transfers_in_flight} transfers in flight"
            )?;
        }
        writeln!(to, "{}", if made.paused { "; paused" } else { "" })
    })?;
    Ok(name)
}
