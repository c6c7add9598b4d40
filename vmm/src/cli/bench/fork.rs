//! `pincow bench fork`.

use std::time::Duration;

use serde::Serialize;

use super::super::memory_size::MemorySize;
use super::super::progress::Progress;
use super::super::spread::Spread;
use super::super::{Failure, open_host};
use super::report::{Case, Report, micros, ratio, tenths_of_us};
use super::{Common, samples_in_range, watching};
use crate::bench::fork::{self, Dirt, Effort, ForkTimes};

/// Forks of a running guest, by how much it wrote since the last fork.
///
/// `pause`: how long the parent stands still. `child`: from the call to the first answer of the child's
/// own vCPU, which finds a request to stop in its memory. The guest churns, that is, writes and
/// verifies pages without an exit, when it is forked; its last child is gone by then. Afterwards both
/// sides go on apart and every page of both is verified; exit status 1 if one is wrong. A case that
/// needs more memory mappings than the host allows is refused, and listed as such.
///
/// `scan`, `protect`, `remap`: on a private mapping of as much memory with the same pages written, in which no
/// guest runs, PAGEMAP_SCAN of all, one UFFDIO_WRITEPROTECT from the first page to the last, and one mremap
/// with MREMAP_DONTUNMAP. `allowed`: 2 ms and 1.2 times the scan with the cheaper of the two others, which
/// is what `pause p50` should keep to with `--backing hostcow`.
///
/// The floor of `pause`: a bare virtual machine that does the same is kicked, its vCPU state read (eight
/// calls, all MSRs in one), its memory up to the last page that was written protected by a single
/// UFFDIO_WRITEPROTECT, and it goes on. The floor of `child`: that, then the floor of `bench clone` (mmap
/// MAP_PRIVATE, KVM_CREATE_VM .. KVM_RUN up to the first exit) in the state that was read. `to answer`
/// is the latter up to the child's answer, which is where pincow's clock stops.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    pub(super) common: Common,

    /// How much the guest writes before each fork: one case for neighbouring pages each, and one
    /// for as many pages of which every second one is written.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "16M,64M,256M",
        value_name = "SIZE[,SIZE..]"
    )]
    pub(super) dirty: Vec<MemorySize>,

    /// Guest memory, such as 64M or 1G: a multiple of 2 MiB. Every case for each. [default: the least
    /// power of two with room for the case]
    #[arg(long, value_delimiter = ',', value_name = "SIZE[,SIZE..]")]
    pub(super) memory: Vec<MemorySize>,

    /// How many forks are measured, and how many floors. [default: what 4 s allow, 5 to 100]
    #[arg(long, value_name = "N", value_parser = samples_in_range)]
    pub(super) samples: Option<usize>,
}

const PAGE_BYTES: u64 = 4096;

/// Unless told otherwise.
const EFFORT: Effort = Effort { least: 5, most: 100, within: Duration::from_secs(4) };

/// One amount of writing.
#[derive(Serialize)]
struct Row {
    memory_bytes: u64,
    dirty_bytes: u64,
    layout: &'static str,
    n: usize,
    mid_run: usize,
    pause_us: Spread,
    floor_pause_us: Spread,
    ratio_pause_p50: f64,
    ratio_pause_p99: f64,
    /// What the pause cannot do without, and what it is allowed; nothing without PAGEMAP_SCAN.
    steps: Option<Steps>,
    child_us: Spread,
    floor_us: Spread,
    ratio_p50: f64,
    ratio_p99: f64,
    floor_to_answer_us: Spread,
    ratio_to_answer_p50: f64,
    pause_samples_us: Vec<f64>,
    floor_pause_samples_us: Vec<f64>,
    child_samples_us: Vec<f64>,
    floor_samples_us: Vec<f64>,
    floor_to_answer_samples_us: Vec<f64>,
}

/// The steps that a pause cannot do without, measured bare.
#[derive(Serialize)]
struct Steps {
    scan_us: Spread,
    protect_us: Spread,
    remap_us: Spread,
    /// 2 ms, and 1.2 times the medians of the scan and of the cheaper of the two others.
    allowed_pause_us: f64,
}

impl Steps {
    fn of(times: &ForkTimes) -> Option<Self> {
        let spread = |step: fn(&crate::bench::fork::Steps) -> Duration| {
            Spread::of(&times.steps.iter().map(step).collect::<Vec<_>>())
        };
        let (scan, protect, remap) = (
            spread(|steps| steps.scan),
            spread(|steps| steps.protect),
            spread(|steps| steps.remap),
        );
        let allowed_pause_us = 2000.0 + 1.2 * (scan.p50 + protect.p50.min(remap.p50));
        let steps = Self { scan_us: scan, protect_us: protect, remap_us: remap, allowed_pause_us };
        (!times.steps.is_empty()).then_some(steps)
    }
}

impl Row {
    fn of(memory: MemorySize, dirt: Dirt, times: &ForkTimes) -> Self {
        let (pause, floor_pause) = (Spread::of(&times.pause), Spread::of(&times.floor_pause));
        let (child, floor) = (Spread::of(&times.answer.ours), Spread::of(&times.answer.floor));
        let floor_to_answer = Spread::of(&times.answer.floor_answer);
        Self {
            memory_bytes: memory.0,
            dirty_bytes: dirt.pages * PAGE_BYTES,
            layout: layout(dirt),
            n: times.pause.len(),
            mid_run: times.mid_run,
            pause_us: pause,
            floor_pause_us: floor_pause,
            ratio_pause_p50: ratio(pause.p50, floor_pause.p50),
            ratio_pause_p99: ratio(pause.p99, floor_pause.p99),
            steps: Steps::of(times),
            child_us: child,
            floor_us: floor,
            ratio_p50: ratio(child.p50, floor.p50),
            ratio_p99: ratio(child.p99, floor.p99),
            floor_to_answer_us: floor_to_answer,
            ratio_to_answer_p50: ratio(child.p50, floor_to_answer.p50),
            pause_samples_us: tenths_of_us(&times.pause),
            floor_pause_samples_us: tenths_of_us(&times.floor_pause),
            child_samples_us: tenths_of_us(&times.answer.ours),
            floor_samples_us: tenths_of_us(&times.answer.floor),
            floor_to_answer_samples_us: tenths_of_us(&times.answer.floor_answer),
        }
    }
}

fn layout(dirt: Dirt) -> &'static str {
    if dirt.stride == 1 { "contiguous" } else { "every-second" }
}

impl Case for Row {
    const HEADINGS: &'static [&'static str] = &[
        "dirty",
        "layout",
        "memory",
        "n",
        "pause p50",
        "p99",
        "floor p50",
        "ratio",
        "scan",
        "protect",
        "remap",
        "allowed",
        "child p50",
        "p99",
        "floor p50",
        "ratio",
        "to answer p50",
        "ratio",
    ];

    fn cells(&self) -> Vec<String> {
        let [pause_p50, pause_p99] = micros(self.pause_us);
        let [child_p50, child_p99] = micros(self.child_us);
        let step = |of: &dyn Fn(&Steps) -> f64| {
            self.steps.as_ref().map_or_else(|| "-".to_owned(), |steps| format!("{:.0}", of(steps)))
        };
        vec![
            MemorySize(self.dirty_bytes).to_string(),
            self.layout.to_owned(),
            MemorySize(self.memory_bytes).to_string(),
            self.n.to_string(),
            pause_p50,
            pause_p99,
            micros(self.floor_pause_us)[0].clone(),
            format!("{:.2}", self.ratio_pause_p50),
            step(&|steps| steps.scan_us.p50),
            step(&|steps| steps.protect_us.p50),
            step(&|steps| steps.remap_us.p50),
            step(&|steps| steps.allowed_pause_us),
            child_p50,
            child_p99,
            micros(self.floor_us)[0].clone(),
            format!("{:.2}", self.ratio_p50),
            micros(self.floor_to_answer_us)[0].clone(),
            format!("{:.2}", self.ratio_to_answer_p50),
        ]
    }
}

pub(super) fn run(args: &Args) -> Result<Report, Failure> {
    let common = &args.common;
    let cases = cases(args)?;
    let given = |samples| Effort { least: samples, most: samples, ..EFFORT };
    let effort = args.samples.map_or(EFFORT, given);
    let host = open_host()?;
    let mut progress = Progress::new();
    let (mut rows, mut violations, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for (dirt, memory) in cases {
        let guests = common.guests(memory)?;
        let case = format!("bench fork {} {}", MemorySize(dirt.pages * PAGE_BYTES), layout(dirt));
        let mut watch = watching(&mut progress, &case);
        let times = match fork::measure(&host, &guests, dirt, effort, &mut watch) {
            Ok(times) => times,
            Err(error) => {
                let Some(reason) = error.refusal() else { return Err(error.into()) };
                refused.push(format!("{case}: {reason}"));
                continue;
            }
        };
        rows.push(Row::of(memory, dirt, &times));
        violations.extend(times.violations);
    }
    let report = Report::new("fork", &common.setting(), "times in us", &rows, violations);
    Ok(report.with_refused(refused))
}

/// Each amount, in both layouts, in each memory.
fn cases(args: &Args) -> Result<Vec<(Dirt, MemorySize)>, Failure> {
    let mut cases = Vec::new();
    for dirty in &args.dirty {
        let pages = dirty.0 / PAGE_BYTES;
        if pages == 0 || pages > 1 << 20 {
            return Err(Failure::Other(format!("--dirty {dirty}: give 4K to 4G")));
        }
        let least = Dirt { pages, stride: 2 }.least_memory_bytes();
        let memories = match args.memory.as_slice() {
            [] => &[MemorySize(least)],
            given => given,
        };
        for &memory in memories {
            args.common.guests(memory)?;
            cases.extend([1, 2].map(|stride| (Dirt { pages, stride }, memory)));
        }
    }
    Ok(cases)
}
