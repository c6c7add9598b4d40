//! `pincow bench boot`.

use super::super::Failure;
use super::answers::{self, Effort, Made, headings};
use super::report::Report;
use crate::bench::boot;

/// From the call to the first answer of a new guest's own vCPU.
///
/// The guest is the one that is part of the program. Nothing of it is there when the clock starts: memory that
/// nobody has touched, the payload written to it, a machine, vCPUs. It finds a ping in its mailbox when it starts, and says
/// a line on its serial port before it answers: an exit a character, on both sides. One lives at a time;
/// dropping it is not measured.
///
/// The floor is, for the same memory size: memfd_create, ftruncate and pwrite of the bytes that the payload
/// needs (itself, page tables, a descriptor table), mmap (MAP_SHARED), KVM_CREATE_VM,
/// KVM_SET_USER_MEMORY_REGION, KVM_CREATE_VCPU, KVM_SET_CPUID2, four calls for the registers at its entry,
/// a thread, and KVM_RUN up to the first exit. `to answer` is the same floor up to the guest's answer, which is
/// where pincow's clock stops.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    effort: Effort,
}

struct Boots;

impl Made for Boots {
    const NAME: &'static str = "boot";
    const HEADINGS: &'static [&'static str] = &headings("boot p50");
}

pub(super) fn run(args: &Args) -> Result<Report, Failure> {
    answers::run::<Boots>(&args.effort, boot::measure)
}
