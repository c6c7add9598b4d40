//! `pincow stress`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::disk_args::Inflight;
use super::output::Output;
use super::progress::Progress;
use super::{Failure, GuestArgs, Outcome, open_host};
use crate::guest::{BackingKind, Sharing};
use crate::stress::{self, Belongings, Control, Plan, Report};

mod told;

use told::Run;

/// Fork guests with disk transfers in flight, verify every byte, and report what is wrong.
///
/// A guest and its descendants keep many transfers in flight and verify all that they move, and the
/// bytes beside it. At random moments they are forked, snapshotted and cloned, pages are evicted, and
/// pages that they have given up discarded; they are killed with transfers in flight, or stopped and
/// read back. The monitor compares the disks of guests and snapshots with what their memory says of
/// them, and counts all references to frames while nobody moves.
///
/// Exit status 0 when nothing was found, 1 when something was: then the run goes on for ten
/// seconds and ends. Ctrl-C ends it with a report, a second one without. Kinds of findings: LOST (the bytes of a transfer
/// are missing), LEAK (those of another guest are there), CORRUPT (bytes that only the CPU writes),
/// TORN, MISPLACED, STATUS (of a sector, of a request), IMAGE (a snapshot has changed), DISCARD (a
/// discarded page is not zeros), COUNT and LEFT (references, frames), ENDED (a guest did not go on).
///
/// `--control` and `--rules mapcount --unsafe` switch a rule off: then something must be found.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    guest: GuestArgs,

    /// For how long.
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = clap::value_parser!(u64).range(..=LONGEST_SECONDS))]
    seconds: u64,

    /// Where the run's decisions come from: one after the other, what happens to which guest, to
    /// which of its pages, and after how long a rest. The same number decides the same, as far as
    /// the run gets (`decisions` and `decisions_crc32` in the report say how far), unless the rule
    /// set refuses forks. What transfers were in flight, and what guests did, follows from the same
    /// number and from the order in which the disk ended its transfers, which no number decides.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// End after so many decisions, if the time is not over before.
    #[arg(long, value_name = "N")]
    decisions: Option<u64>,

    /// How many guests live at a time, at most. Up to half of them may be on their way out.
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=64))]
    guests: u64,

    /// How many transfers each vCPU of a guest keeps in flight, on a disk of its own.
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=256))]
    depth: u64,

    /// What becomes of transfers that are in flight at a fork, in the child: it issues them again,
    /// they fail, or the fork waits for them first (and then none is in flight).
    #[arg(long, value_enum, default_value_t = Inflight::Reissue, value_name = "POLICY")]
    inflight: Inflight,

    /// Where the disk's files are made. They never have a name for longer than a moment.
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    dir: PathBuf,

    /// Switch one rule off, which must be found: a test of the test.
    #[arg(long, value_enum, value_name = "NAME")]
    control: Option<Control>,

    /// Begin one of eight transfers MS milliseconds late (200 if none are given), as a slow disk may: what is at
    /// risk is at risk for longer. Transfers that are late count as in flight. `--control` (of which
    /// `map-at-submission` has all of them late) and `--unsafe` rules imply it. More of them helps where the CPU is
    /// slow or busy, so that guests come back to their pages late.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=LATEST_MS))]
    late: Option<Option<u64>>,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A year. Clocks have an end somewhere.
const LONGEST_SECONDS: u64 = 365 * 24 * 3600;

/// A guest's end waits for each of its transfers.
const LATEST_MS: u64 = 10_000;

/// The exit status of a command that a signal ended: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

pub(super) fn run(args: &Args) -> Outcome {
    let mut guest = args.guest.clone();
    // Pages are evicted under this one only.
    guest.rules.backing.get_or_insert(BackingKind::Trap);
    let Sharing { rules, backing, prefault } = guest.sharing()?;
    let host = open_host()?;
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = args.seed.unwrap_or_else(|| clock.map_or(1, |now| now.as_micros() as u64));
    let plan = Plan {
        seconds: args.seconds,
        decisions: args.decisions,
        seed,
        set: rules.set,
        backing,
        prefault,
        control: args.control,
        late: args.late.map(|ms| ms.map_or(stress::LATE, Duration::from_millis)),
        inflight: args.inflight.into(),
        memory_bytes: guest.memory.0,
        vcpus: guest.vcpus,
        guests: args.guests as usize,
        depth: args.depth,
        folder: args.dir.clone(),
    };
    let switched_off = switched_off(args);
    for off in &switched_off {
        eprintln!("pincow: switched off: {off}");
    }
    let interrupted = listen()?;
    let before = Belongings::now();
    let mut progress = Progress::new();
    let report = stress::run(&host, &plan, |report| {
        progress.at(|| so_far(report));
        !interrupted.load(Ordering::Relaxed)
    })?;
    drop(progress);
    let left = Belongings::left_since(before);
    let interrupted = interrupted.load(Ordering::Relaxed);
    let (rules, switched_off) = (rules.set, &*switched_off);
    let late = plan.late_by();
    let run = Run { rules, backing, switched_off, late, seed, report: &report, interrupted, left };
    let mut out = Output::new();
    match args.json {
        true => out.json(&told::as_json(&run))?,
        false => out.text(|to| told::tell(to, &run))?,
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What Ctrl-C sets.
fn listen() -> Result<Arc<AtomicBool>, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&interrupted);
    let handler = move || {
        // The second time there is no report.
        if heard.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
    };
    ctrlc::set_handler(handler)
        .map_err(|error| Failure::Other(format!("listening for Ctrl-C: {error}")))?;
    Ok(interrupted)
}

fn so_far(report: &Report) -> String {
    match report.findings.values().sum::<u64>() {
        0 => format!("{} forks, nothing found", report.forks),
        findings => format!("{} forks, {findings} findings", report.forks),
    }
}

/// The rules that are not followed.
fn switched_off(args: &Args) -> Vec<String> {
    let known = args.guest.rules.known_findings();
    let rules = (!known.is_empty()).then(|| format!("rules {} ({known})", args.guest.rules.set));
    let control = args.control.map(|control| {
        let name = clap::ValueEnum::to_possible_value(&control);
        format!("control {}", name.map_or_else(String::new, |name| name.get_name().to_owned()))
    });
    rules.into_iter().chain(control).collect()
}
