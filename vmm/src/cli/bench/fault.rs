//! `pincow bench fault`.

use std::time::Duration;

use serde::Serialize;

use super::super::memory_size::MemorySize;
use super::super::progress::Progress;
use super::super::spread::Spread;
use super::super::{Failure, open_host};
use super::report::{Case, Report, micros, ratio, tenths_of_us};
use super::{Common, samples_in_range, watching};
use crate::bench::fault;

/// A guest's first write to a page that is shared, or was.
///
/// A child of a guest writes one word to each of some pages, and again: the difference, divided by the
/// pages, is the time of a first write, mean of a sample. `copy`: the parent lives, so each write gets
/// a copy of the page. `reuse`: the parent was dropped before, so each write may have the page as it is.
/// With `--backing hostcow` the host's kernel copies in both cases. The bytes of both sides are
/// verified; exit status 1 if a page is wrong.
///
/// The floor of both is the kernel's own copy-on-write: the same commands to the same payload in a bare
/// virtual machine over a fresh MAP_PRIVATE mapping of a memfd with the same bytes.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    pub(super) common: Common,

    /// Guest memory, such as 64M or 1G: a multiple of 2 MiB. Two cases each.
    #[arg(long, value_delimiter = ',', default_value = "64M", value_name = "SIZE[,SIZE..]")]
    pub(super) memory: Vec<MemorySize>,

    /// How many pages are written in a sample.
    #[arg(long, default_value_t = 1024, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub(super) pages: u64,

    /// How many samples of each case, and of the floor.
    #[arg(long, default_value = "50", value_name = "N", value_parser = samples_in_range)]
    pub(super) samples: usize,
}

/// How one kind of fault did.
#[derive(Serialize)]
struct Row {
    case: &'static str,
    memory_bytes: u64,
    pages: u64,
    n: usize,
    fault_us: Spread,
    floor_us: Spread,
    ratio_p50: f64,
    ratio_p99: f64,
    samples_us: Vec<f64>,
    floor_samples_us: Vec<f64>,
}

impl Case for Row {
    const HEADINGS: &'static [&'static str] = &[
        "case",
        "memory",
        "pages",
        "n",
        "fault p50",
        "p99",
        "floor p50",
        "p99",
        "ratio p50",
        "p99",
    ];

    fn cells(&self) -> Vec<String> {
        let [ours_p50, ours_p99] = micros(self.fault_us);
        let [floor_p50, floor_p99] = micros(self.floor_us);
        vec![
            self.case.to_owned(),
            MemorySize(self.memory_bytes).to_string(),
            self.pages.to_string(),
            self.n.to_string(),
            ours_p50,
            ours_p99,
            floor_p50,
            floor_p99,
            format!("{:.2}", self.ratio_p50),
            format!("{:.2}", self.ratio_p99),
        ]
    }
}

pub(super) fn run(args: &Args) -> Result<Report, Failure> {
    let (common, pages) = (&args.common, args.pages);
    let cases = common.cases(&args.memory)?;
    let host = open_host()?;
    let mut progress = Progress::new();
    let (mut rows, mut violations) = (Vec::new(), Vec::new());
    for (memory, guests) in cases {
        let case = format!("bench fault {memory}");
        let mut watch = watching(&mut progress, &case);
        let measured = fault::measure(&host, &guests, pages, args.samples, &mut watch)?;
        let floor = Spread::of(&measured.floor);
        let row = |case, times: &[Duration]| {
            let ours = Spread::of(times);
            Row {
                case,
                memory_bytes: memory.0,
                pages,
                n: times.len(),
                fault_us: ours,
                floor_us: floor,
                ratio_p50: ratio(ours.p50, floor.p50),
                ratio_p99: ratio(ours.p99, floor.p99),
                samples_us: tenths_of_us(times),
                floor_samples_us: tenths_of_us(&measured.floor),
            }
        };
        rows.extend([row("copy", &measured.copy), row("reuse", &measured.reuse)]);
        violations.extend(measured.violations);
    }
    let notes = "times in us per page, mean of a sample";
    Ok(Report::new("fault", &common.setting(), notes, &rows, violations))
}
