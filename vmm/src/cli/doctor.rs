//! `pincow doctor`.

use std::process::ExitCode;

use pincow_mmu::host::HostFeatures;
use serde::Serialize;

use super::Outcome;
use super::failure;
use super::output::Output;

mod doorbell;
mod features;
mod guests;
mod kvm;
mod limits;
mod probe_guest;
mod text;
mod verdicts;

use features::Feature;
use kvm::KvmReport;
use limits::Limits;
use verdicts::Verdicts;

/// Say what this host offers to pincow, what is missing, and what that means.
///
/// Nothing is changed. Some guests of a few instructions are run, to see what KVM is made of.
///
/// Exit status: 0 when `pincow demo` can run here, 2 when it cannot.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Everything that is asked.
#[derive(Serialize)]
struct Report {
    kernel: String,
    kvm: KvmReport,
    guests: Vec<guests::Answer>,
    userfaultfd: Userfaultfd,
    features: Vec<Feature>,
    limits: Limits,
    commands: Verdicts,
}

/// Whether page faults of guests can be caught.
#[derive(Serialize)]
struct Userfaultfd {
    /// `device` or `syscall`; nothing when neither gives one.
    source: Option<pincow_mmu::host::UffdSource>,
    /// Why there is none, and what to do.
    problem: Option<String>,
}

impl Report {
    fn of_this_host() -> Self {
        let host = HostFeatures::probe();
        let kvm = KvmReport::of_this_host();
        let no_trap = host.require_trap().err().map(|missing| missing.to_string());
        Self {
            commands: Verdicts::new(kvm.problem.as_deref(), no_trap.as_deref()),
            features: features::of(&host),
            limits: Limits::of(&host),
            userfaultfd: Userfaultfd {
                source: host.userfaultfd,
                problem: host.userfaultfd_refused.clone(),
            },
            kernel: host.kernel,
            guests: guests::of(&kvm),
            kvm,
        }
    }
}

pub(super) fn run(args: &Args) -> Outcome {
    let report = Report::of_this_host();
    let mut out = Output::new();
    if args.json {
        out.json(&report)?;
    } else {
        out.text(|to| text::write(&report, to))?;
    }
    let works = report.commands.demo_works();
    Ok(if works { ExitCode::SUCCESS } else { ExitCode::from(failure::STATUS) })
}
