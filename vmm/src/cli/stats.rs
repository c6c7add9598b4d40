//! `pincow stats`.

use std::io::{self, Write};
use std::process::ExitCode;

use super::Outcome;
use super::memory_size::rounded;
use super::output::Output;
use super::ps::Columns;
use super::remote::{Remote, Target, unexpected};
use crate::control::{BalloonStats, DiskStats, GuestStats, Request, Response};

/// Print what a running guest and its devices did so far.
///
/// Of a guest that has ended, it is what it did in its life. What is counted of frames (copies on write, copies of
/// pinned frames at forks) is counted for a guest and all its relatives together.
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
    let response = remote.call(&Request::Stats { id: remote.number })?;
    let Response::Stats(stats) = &response else { return Err(unexpected(&response)) };
    let mut out = Output::new();
    match args.json {
        true => out.json(stats)?,
        false => out.text(|to| write(to, &remote, stats))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write(to: &mut dyn Write, remote: &Remote, stats: &GuestStats) -> io::Result<()> {
    let Columns { state, age, unique, shared, pinned, .. } =
        Columns::of(&stats.guest, |number| remote.name(number));
    writeln!(to, "guest    {}, {age} old: {state}", remote.name(stats.guest.id))?;
    writeln!(to, "memory   {unique} its own, {shared} shared, {pinned} pinned by transfers")?;
    if let Some(id) = stats.guest.generation_id {
        writeln!(to, "identity generation ID {id}")?;
    }
    for (index, disk) in stats.disks.iter().enumerate() {
        let DiskStats { transfers_in_flight, requests_in_flight, counts } = disk;
        writeln!(
            to,
            "disk {index}   {transfers_in_flight} transfers and {requests_in_flight} requests in flight; {} \
             requests, {} answered, {} with errors, {} issued again; {} transfers, {} bytes, {} bounced; {} \
             malformed",
            counts.requests,
            counts.answered,
            counts.errors,
            counts.reissued,
            counts.transfers,
            counts.bytes,
            counts.bounced,
            counts.malformed
        )?;
    }
    for (index, card) in stats.nets.iter().enumerate() {
        writeln!(
            to,
            "net {index}    {} frames sent, {} received, {} left to the parent, {} lost, {} refused, {} dropped; \
             {} malformed",
            card.sent,
            card.received,
            card.left,
            card.lost,
            card.refused,
            card.dropped,
            card.malformed
        )?;
    }
    if let Some(rng) = &stats.rng {
        writeln!(
            to,
            "rng      {} requests, {} bytes; {} malformed",
            rng.requests, rng.bytes, rng.malformed
        )?;
    }
    if let Some(BalloonStats { target_bytes, actual_bytes, counts }) = stats.balloon {
        let bytes = |pages: u64| rounded(pages << 12);
        writeln!(
            to,
            "balloon  {} of {}; {} inflated, {} deflated, {} reported free; {} given back, {} kept; {} malformed",
            rounded(actual_bytes),
            rounded(target_bytes),
            bytes(counts.inflated),
            bytes(counts.deflated),
            bytes(counts.reported),
            bytes(counts.discarded),
            bytes(counts.kept),
            counts.malformed
        )?;
    }
    let family = &stats.family;
    writeln!(
        to,
        "family   {} writes copied, {} reused in place, {} unshared for pins, {} early copies at forks, {} \
         copied beside, {} prefaulted; {} evicted, {} swapped in, {} discarded",
        family.copied,
        family.reused,
        family.unshared,
        family.early_copies,
        family.block_copied,
        family.prefaulted,
        family.evicted,
        family.swapped_in,
        family.discarded
    )
}
