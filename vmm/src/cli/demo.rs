//! `pincow demo`.

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use super::output::Output;
use super::progress::Progress;
use super::spread::Spread;
use super::{GuestArgs, Outcome, open_host};
use crate::demo::{self, Audience, MemoryUse, Plan, Report};

/// Show the main job: boot a guest, snapshot it, clone it, and fork it while it runs.
///
/// The first guest fills a table of 16 MiB and is snapshotted. Each clone changes its own part and
/// reports a checksum of all, which the host compares with its own. Then the running guest is forked,
/// the child again, and so on; after each fork both sides go on writing and are verified page by
/// page. Last, a guest that keeps up to 32 transfers of its disk in flight is forked, and none of them is
/// waited for: the parent sees them complete, the child issues them again on its own disk, and each
/// verifies its memory and reads its disk back. The disk is a temporary file (TMPDIR) without a name.
/// Exit status 0 only if all was well.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    guest: GuestArgs,

    /// How many clones of the snapshot, all alive at once.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    clones: u32,

    /// How many forks of the running guest, each of the child before.
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    forks: u32,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What the first guest writes.
const TABLE_BYTES: u64 = 16 << 20;

/// The report as a machine reads it.
#[derive(Serialize)]
struct Json<'a> {
    rules: String,
    backing: String,
    known_findings: &'a str,
    clones: u32,
    clones_ok: u32,
    forks: u32,
    forks_ok: u32,
    forked_mid_run: u32,
    violations: usize,
    violations_list: &'a [String],
    transfers_in_flight_at_fork: Count,
    io: Io,
    frames: Frames,
    clone_us: Spread,
    fork_us: Spread,
    memory_bytes: MemoryUse,
}

/// The middle and the largest of some numbers.
#[derive(Clone, Copy, Serialize)]
struct Count {
    p50: usize,
    max: usize,
}

impl Count {
    fn of(numbers: &[usize]) -> Self {
        let mut numbers = numbers.to_vec();
        numbers.sort_unstable();
        let p50 = numbers.get(numbers.len().saturating_sub(1) / 2).copied().unwrap_or(0);
        Self { p50, max: numbers.last().copied().unwrap_or(0) }
    }
}

/// Forks with disk transfers in flight.
#[derive(Serialize)]
struct Io {
    forks: usize,
    forks_ok: u32,
    forks_refused: u32,
    requests_in_flight: u64,
    completed_in_parents: u64,
    reissued_in_children: u64,
    direct: bool,
}

#[derive(Serialize)]
struct Frames {
    shared: u64,
    private: u64,
    copied: u64,
    reused: u64,
}

impl Audience for Progress {
    fn step(&mut self, what: &str, step: u32, steps: u32) {
        self.at(|| format!("{what} ({step} of {steps})"));
    }
}

pub(super) fn run(args: &Args) -> Outcome {
    let sharing = args.guest.sharing()?;
    let host = open_host()?;
    let plan = Plan {
        memory_bytes: args.guest.memory.0,
        vcpus: args.guest.vcpus,
        sharing,
        table_bytes: TABLE_BYTES,
        clones: args.clones,
        forks: args.forks,
    };
    let report = demo::run(&host, &plan, &mut Progress::new())?;
    report.io.notes.iter().for_each(|note| eprintln!("pincow: {note}"));
    let mut out = Output::new();
    match args.json {
        true => out.json(&json(args, &report))?,
        false => out.text(|to| tell(to, args, &report))?,
    }
    let well = report.violations.is_empty()
        && report.clones_ok == args.clones
        && report.forks_ok == args.forks
        && report.io.forks_ok as usize == report.io.in_flight.len();
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn json<'a>(args: &'a Args, report: &'a Report) -> Json<'a> {
    Json {
        rules: args.guest.rules.set.to_string(),
        backing: args.guest.rules.backing().to_string(),
        known_findings: args.guest.rules.known_findings(),
        clones: report.clones,
        clones_ok: report.clones_ok,
        forks: report.forks,
        forks_ok: report.forks_ok,
        forked_mid_run: report.forked_mid_run,
        violations: report.violations.len(),
        violations_list: &report.violations,
        transfers_in_flight_at_fork: Count::of(&report.io.in_flight),
        io: Io {
            forks: report.io.in_flight.len(),
            forks_ok: report.io.forks_ok,
            forks_refused: report.io.refused,
            requests_in_flight: report.io.requests,
            completed_in_parents: report.io.completed,
            reissued_in_children: report.io.reissued,
            direct: report.io.direct,
        },
        frames: Frames {
            shared: report.shared_frames,
            private: report.private_frames,
            copied: report.copied,
            reused: report.reused,
        },
        clone_us: Spread::of(&report.clone_times),
        fork_us: Spread::of(&report.fork_times),
        memory_bytes: report.memory,
    }
}

fn tell(to: &mut dyn Write, args: &Args, report: &Report) -> io::Result<()> {
    let GuestArgs { memory, vcpus, rules, .. } = &args.guest;
    let (set, backing) = (rules.set, rules.backing());
    let (clone, fork) = (Spread::of(&report.clone_times), Spread::of(&report.fork_times));
    let MemoryUse { unique, as_if_copied, .. } = report.memory;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    writeln!(
        to,
        "guest    {memory} of memory, {vcpus} vCPU, rules {set}, backing {backing}; its table of 16 MiB is \
         right"
    )?;
    writeln!(
        to,
        "clones   {} of {} reported what the host computed; {:.0} us to the first answer (p99 {:.0})",
        report.clones_ok, report.clones, clone.p50, clone.p99
    )?;
    writeln!(
        to,
        "memory   {:.1} MiB for {} clones, by the kernel's accounting; copies would take {:.0} MiB",
        mib(unique),
        report.clones,
        mib(as_if_copied)
    )?;
    writeln!(
        to,
        "forks    {} of {} left both sides whole; {} met a vCPU in the middle of its code; pause {:.0} us (p99 {:.0})",
        report.forks_ok, report.forks, report.forked_mid_run, fork.p50, fork.p99
    )?;
    writeln!(
        to,
        "frames   {} shared and {} private with all clones alive; {} writes copied, {} reused in place",
        report.shared_frames, report.private_frames, report.copied, report.reused
    )?;
    io_line(to, report)?;
    for violation in &report.violations {
        writeln!(to, "VIOLATION {violation}")?;
    }
    if !rules.known_findings().is_empty() {
        writeln!(to, "note     {set} is known for {}", rules.known_findings())?;
    }
    writeln!(to, "verdict  {}", verdict(report))
}

fn io_line(to: &mut dyn Write, report: &Report) -> io::Result<()> {
    let io = &report.io;
    let Count { p50, max } = Count::of(&io.in_flight);
    match io.in_flight.len() {
        0 if io.refused > 0 => writeln!(
            to,
            "io       {} forks with disk transfers in flight were refused, as these rules say",
            io.refused
        ),
        0 => writeln!(to, "io       not shown"),
        forks => writeln!(
            to,
            "io       {p50} transfers in flight at the fork (p50; max {max}); parents saw {} of {} requests \
             complete, children issued {} again; {} of {forks} left both disks right",
            io.completed, io.requests, io.reissued, io.forks_ok
        ),
    }
}

fn verdict(report: &Report) -> String {
    match report.violations.len() {
        0 => "nothing lost, torn or leaked".to_owned(),
        n => format!("{n} violations"),
    }
}
