//! What a run of `pincow stress` says in the end.

use std::io::{self, Write};
use std::time::Duration;

use pincow_mmu::rules::RuleSet;
use serde_json::{Value, json};

use crate::guest::BackingKind;
use crate::stress::{Belongings, Process, Report};

/// A run that is over.
pub(super) struct Run<'a> {
    pub(super) rules: RuleSet,
    pub(super) backing: BackingKind,
    pub(super) switched_off: &'a [String],
    pub(super) late: Option<Duration>,
    pub(super) seed: u64,
    pub(super) report: &'a Report,
    pub(super) interrupted: bool,
    /// What the process has afterwards and had not before.
    pub(super) left: Belongings,
}

/// How many transfers were in flight at the forks.
struct InFlight {
    p10: usize,
    p50: usize,
    max: usize,
    forks_with_none: usize,
}

impl InFlight {
    fn of(report: &Report) -> Self {
        let mut counts = report.in_flight_at_fork.clone();
        counts.sort_unstable();
        let at = |percent| counts.get(counts.len() * percent / 100).copied().unwrap_or(0);
        Self {
            p10: at(10),
            p50: at(50),
            max: counts.last().copied().unwrap_or(0),
            forks_with_none: counts.iter().filter(|count| **count == 0).count(),
        }
    }
}

/// As one JSON object.
pub(super) fn as_json(run: &Run<'_>) -> Value {
    let Run { rules, backing, switched_off, late, seed, report, interrupted, left } = *run;
    let Process { early, late: at_last } = report.process;
    let InFlight { p10, p50, max, forks_with_none } = InFlight::of(report);
    json!({
        "seed": seed,
        "rules": rules.to_string(),
        "backing": backing.to_string(),
        "switched_off": switched_off,
        "late_ms": late.map(|by| by.as_millis()),
        "interrupted": interrupted,
        "decisions": report.decisions,
        "decisions_crc32": report.fingerprint,
        "forks": report.forks,
        "forks_with_none": forks_with_none,
        "forks_refused": report.forks_refused,
        "in_flight_at_fork": { "p10": p10, "p50": p50, "max": max },
        "snapshots": report.snapshots,
        "clones": report.clones,
        "guests_peak": report.guests_peak,
        "killed": report.killed,
        "retired": report.retired,
        "transfers": report.transfers,
        "bytes": report.bytes,
        "reissued": report.reissued,
        "early_copies": report.early_copies,
        "evictions": report.evictions,
        "evictions_refused": report.evictions_refused,
        "swapped_in": report.swapped_in,
        "discards": report.discards,
        "discards_refused": report.discards_refused,
        "sectors_read_back": report.sectors_read_back,
        "sectors_verified": report.sectors_verified,
        "audits": report.audits,
        "findings": report.findings,
        "first_finding": report.first,
        "first_finding_after_s": report.found_after.map(|after| after.as_secs_f64()),
        "process": { "early": early, "late": at_last, "left": left },
    })
}

/// As text.
pub(super) fn tell(to: &mut dyn Write, run: &Run<'_>) -> io::Result<()> {
    let Run { switched_off, late, seed, report, interrupted, .. } = *run;
    let InFlight { p50, max, forks_with_none, .. } = InFlight::of(report);
    writeln!(to, "seed       {seed}; {} decisions", report.decisions)?;
    for off in switched_off {
        writeln!(to, "off        {off}")?;
    }
    if let Some(by) = late {
        writeln!(
            to,
            "late       some transfers, by {by:?}; they count as in flight while they wait"
        )?;
    }
    write!(to, "forks      {}, with {p50} transfers in flight (p50; at most {max}", report.forks)?;
    writeln!(to, ", none at {forks_with_none})")?;
    if report.forks_refused > 0 {
        writeln!(to, "refused    {} forks and snapshots", report.forks_refused)?;
    }
    writeln!(
        to,
        "guests     {} at a time at most; {} killed, {} stopped; {} snapshots, {} clones of them",
        report.guests_peak, report.killed, report.retired, report.snapshots, report.clones
    )?;
    writeln!(
        to,
        "transfers  {} ({} MiB), {} issued again by children",
        report.transfers,
        report.bytes >> 20,
        report.reissued
    )?;
    writeln!(
        to,
        "frames     {} copied early; {} evicted ({} refused), {} read back; {} discarded ({} \
         refused)",
        report.early_copies,
        report.evictions,
        report.evictions_refused,
        report.swapped_in,
        report.discards,
        report.discards_refused
    )?;
    writeln!(
        to,
        "verified   {} sectors by guests at their ends, {} by the monitor; references counted {} \
         times",
        report.sectors_read_back, report.sectors_verified, report.audits
    )?;
    if let (Some(early), Some(late)) = (report.process.early, report.process.late) {
        let Belongings { threads, files, resident_kib, .. } = early;
        write!(
            to,
            "process    {threads} threads, {files} files, {} MiB early",
            resident_kib >> 10
        )?;
        let Belongings { threads, files, resident_kib, .. } = late;
        writeln!(to, "; {threads}, {files}, {} MiB late", resident_kib >> 10)?;
    }
    for (kind, count) in &report.findings {
        writeln!(to, "FOUND      {kind}: {count}")?;
    }
    if let Some(finding) = &report.first {
        writeln!(to, "first      {finding}")?;
    }
    let verdict = if report.is_clean() { "nothing lost, torn or leaked" } else { "found" };
    let early = if interrupted { ", until it was interrupted" } else { "" };
    writeln!(to, "verdict    {verdict}{early}")
}
