//! `pincow bench clone`.

use serde::Serialize;

use super::super::Failure;
use super::super::memory_size::MemorySize;
use super::super::progress::Progress;
use super::super::spread::Spread;
use super::report::{Case, Report, micros, ratio, tenths_of_us};
use super::{Common, samples_in_range, watching};
use crate::bench::{Times, clone};

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
    pub(super) common: Common,

    /// Guest memory, such as 64M or 1G: a multiple of 2 MiB. One case each.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "64M,256M,1G",
        value_name = "SIZE[,SIZE..]"
    )]
    pub(super) memory: Vec<MemorySize>,

    /// How many clones are measured, and how many floors.
    #[arg(long, default_value = "200", value_name = "N", value_parser = samples_in_range)]
    pub(super) samples: usize,
}

/// One memory size.
#[derive(Serialize)]
struct Row {
    memory_bytes: u64,
    n: usize,
    clone_us: Spread,
    floor_us: Spread,
    ratio_p50: f64,
    ratio_p99: f64,
    floor_to_answer_us: Spread,
    ratio_to_answer_p50: f64,
    clone_samples_us: Vec<f64>,
    floor_samples_us: Vec<f64>,
    floor_to_answer_samples_us: Vec<f64>,
}

impl Row {
    fn of(memory: MemorySize, times: &Times) -> Self {
        let (ours, floor) = (Spread::of(&times.ours), Spread::of(&times.floor));
        let floor_to_answer = Spread::of(&times.floor_answer);
        Self {
            memory_bytes: memory.0,
            n: times.ours.len(),
            clone_us: ours,
            floor_us: floor,
            ratio_p50: ratio(ours.p50, floor.p50),
            ratio_p99: ratio(ours.p99, floor.p99),
            floor_to_answer_us: floor_to_answer,
            ratio_to_answer_p50: ratio(ours.p50, floor_to_answer.p50),
            clone_samples_us: tenths_of_us(&times.ours),
            floor_samples_us: tenths_of_us(&times.floor),
            floor_to_answer_samples_us: tenths_of_us(&times.floor_answer),
        }
    }
}

impl Case for Row {
    const HEADINGS: &'static [&'static str] = &[
        "memory",
        "n",
        "clone p50",
        "p99",
        "floor p50",
        "p99",
        "ratio p50",
        "p99",
        "to answer p50",
        "ratio",
    ];

    fn cells(&self) -> Vec<String> {
        let [ours_p50, ours_p99] = micros(self.clone_us);
        let [floor_p50, floor_p99] = micros(self.floor_us);
        let [to_answer_p50, _] = micros(self.floor_to_answer_us);
        vec![
            MemorySize(self.memory_bytes).to_string(),
            self.n.to_string(),
            ours_p50,
            ours_p99,
            floor_p50,
            floor_p99,
            format!("{:.2}", self.ratio_p50),
            format!("{:.2}", self.ratio_p99),
            to_answer_p50,
            format!("{:.2}", self.ratio_to_answer_p50),
        ]
    }
}

pub(super) fn run(args: &Args) -> Result<Report, Failure> {
    let common = &args.common;
    let cases = args.memory.iter().map(|&memory| Ok((memory, common.guests(memory)?)));
    let cases = cases.collect::<Result<Vec<_>, Failure>>()?;
    let host = common.guest_args(MemorySize(0)).host()?;
    let mut progress = Progress::new();
    let mut rows = Vec::new();
    for (memory, guests) in cases {
        let case = format!("bench clone {memory}");
        let times =
            clone::measure(&host, &guests, args.samples, &mut watching(&mut progress, &case))?;
        rows.push(Row::of(memory, &times));
    }
    Ok(Report::new("clone", &common.setting(), "times in us", &rows, Vec::new()))
}
