//! `pincow bench clone`.

use super::super::Failure;
use super::answers::{self, Effort, Made, headings};
use super::report::Report;
use crate::bench::clone;

/// From the call to the first answer of a clone's own vCPU.
///
/// The clones are of a snapshot of a guest all of whose memory is resident, and that waits for a
/// command; each finds a ping in its mailbox when it starts. One lives at a time; making and dropping
/// the rest is not measured.
///
/// The floor is, for the same memory size: mmap (MAP_PRIVATE) of a memfd with the same bytes,
/// KVM_CREATE_VM, KVM_SET_USER_MEMORY_REGION, KVM_CREATE_VCPU, KVM_SET_CPUID2, eight calls that set the
/// same vCPU state (all MSRs in one), a thread, and KVM_RUN up to the first exit. `to answer` is the same
/// floor up to the guest's answer, which is where pincow's clock stops.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    effort: Effort,
}

struct Clones;

impl Made for Clones {
    const NAME: &'static str = "clone";
    const HEADINGS: &'static [&'static str] = &headings("clone p50");
}

pub(super) fn run(args: &Args) -> Result<Report, Failure> {
    answers::run::<Clones>(&args.effort, clone::measure)
}
