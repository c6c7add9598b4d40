//! `pincow bench cow`.

use std::time::Duration;

use serde::Serialize;

use super::super::memory_size::MemorySize;
use super::super::progress::Progress;
use super::super::spread::Spread;
use super::super::{Failure, open_host};
use super::report::{Case, Report, micros, ratio, tenths_of_us};
use super::{Common, Rulings, samples_in_range, watching};
use crate::bench::cow::{self, CowTimes, Method, Pattern, Sample};

/// The writes of a clone: its own time for many first writes, and what they take of all CPUs.
///
/// A clone answers a ping and then writes one word to each of some pages, scattered over its memory, or in
/// runs of neighbours, by one command. `guest` is the time from the command to the answer; `CPU` is the
/// CPU time of its vCPU for the same, and of the thread that prefaults pages for it from when it is made. `answer`
/// is the time from the call that makes it to its answer to the ping. `copied` is how many pages of the clone
/// the kernel has copied in the end: those that were written, a few of its stack, and what was prefaulted.
///
/// `kernel` is the floor: the kernel's demand copy-on-write under the same payload in a bare virtual
/// machine over a fresh MAP_PRIVATE mapping of a memfd with the same bytes. `plain` is a clone of pincow;
/// `learned`, one of a snapshot three of whose clones wrote the same pages before, with `--prefault learned`; `ready`,
/// the same, asked to write when the prefault is over; `wrong`, as `learned` where they wrote as many other
/// pages. The last three are there with `--backing hostcow` only. `before` is how many pages were prefaulted when
/// the command came.
/// The written pages are verified, and as many that were not written; exit status 1 if one is wrong, or
/// was not copied.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Guest memory, such as 64M or 1G: a multiple of 2 MiB. Cases for each.
    #[arg(long, value_delimiter = ',', default_value = "256M", value_name = "SIZE[,SIZE..]")]
    pub(super) memory: Vec<MemorySize>,

    /// How many pages a clone writes.
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub(super) pages: u64,

    /// How many neighbours are written in a row; 1 is scattered. Cases for each.
    #[arg(long, value_delimiter = ',', default_value = "1,8,40", value_name = "N[,N..]", value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub(super) runs: Vec<u64>,

    /// How many clones of each kind.
    #[arg(long, default_value = "100", value_name = "N", value_parser = samples_in_range)]
    pub(super) samples: usize,

    #[command(flatten)]
    rulings: Rulings,
}

impl Args {
    fn common(&self) -> Common {
        Common { vcpus: 1, rulings: self.rulings.clone() }
    }
}

/// How one method did.
#[derive(Serialize)]
struct Row {
    method: &'static str,
    memory_bytes: u64,
    pages: u64,
    run: u64,
    n: usize,
    /// When the command came.
    prefaulted_p50: f64,
    copied_p50: f64,
    answer_us: Spread,
    guest_us: Spread,
    cpu_us: Spread,
    guest_ratio_p50: f64,
    guest_ratio_p99: f64,
    cpu_ratio_p50: f64,
    cpu_ratio_p99: f64,
    answer_samples_us: Vec<f64>,
    guest_samples_us: Vec<f64>,
    cpu_samples_us: Vec<f64>,
    prefault_cpu_samples_us: Vec<f64>,
    prefaulted_samples: Vec<u64>,
    copied_samples: Vec<u64>,
}

fn all(samples: &[Sample], of: impl Fn(&Sample) -> Duration) -> Vec<Duration> {
    samples.iter().map(of).collect()
}

fn middle(pages: &[u64]) -> f64 {
    Spread::of_values(pages.iter().map(|&pages| pages as f64)).p50
}

impl Row {
    fn of(memory: MemorySize, run: u64, times: &CowTimes, at: usize) -> Self {
        let (method, samples) = &times.methods[at];
        let guest = |sample: &Sample| sample.guest;
        let cpu = |sample: &Sample| sample.cpu;
        let answer = all(samples, |sample| sample.answer);
        let floor = &times.methods[0].1;
        let (floor_guest, floor_cpu) =
            (Spread::of(&all(floor, guest)), Spread::of(&all(floor, cpu)));
        let (guest, cpu) = (all(samples, guest), all(samples, cpu));
        let (guest_us, cpu_us) = (Spread::of(&guest), Spread::of(&cpu));
        let prefaulted_samples: Vec<u64> = samples.iter().map(|sample| sample.prefaulted).collect();
        let copied_samples: Vec<u64> = samples.iter().map(|sample| sample.copied).collect();
        Self {
            method: method.name(),
            memory_bytes: memory.0,
            pages: times.pages,
            run,
            n: samples.len(),
            prefaulted_p50: middle(&prefaulted_samples),
            copied_p50: middle(&copied_samples),
            answer_us: Spread::of(&answer),
            guest_us,
            cpu_us,
            guest_ratio_p50: ratio(guest_us.p50, floor_guest.p50),
            guest_ratio_p99: ratio(guest_us.p99, floor_guest.p99),
            cpu_ratio_p50: ratio(cpu_us.p50, floor_cpu.p50),
            cpu_ratio_p99: ratio(cpu_us.p99, floor_cpu.p99),
            answer_samples_us: tenths_of_us(&answer),
            guest_samples_us: tenths_of_us(&guest),
            cpu_samples_us: tenths_of_us(&cpu),
            prefault_cpu_samples_us: tenths_of_us(&all(samples, |sample| sample.prefault_cpu)),
            prefaulted_samples,
            copied_samples,
        }
    }
}

impl Case for Row {
    const HEADINGS: &'static [&'static str] = &[
        "method",
        "memory",
        "pages",
        "in runs of",
        "n",
        "before",
        "copied",
        "answer p50",
        "p99",
        "guest p50",
        "p99",
        "ratio p50",
        "p99",
        "CPU p50",
        "p99",
        "ratio p50",
        "p99",
    ];

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![
            self.method.to_owned(),
            MemorySize(self.memory_bytes).to_string(),
            self.pages.to_string(),
            self.run.to_string(),
            self.n.to_string(),
            format!("{:.0}", self.prefaulted_p50),
            format!("{:.0}", self.copied_p50),
        ];
        cells.extend(micros(self.answer_us));
        let guest = (self.guest_us, self.guest_ratio_p50, self.guest_ratio_p99);
        let cpu = (self.cpu_us, self.cpu_ratio_p50, self.cpu_ratio_p99);
        for (spread, p50, p99) in [guest, cpu] {
            cells.extend(micros(spread));
            cells.extend([p50, p99].map(|ratio| match self.method == Method::Kernel.name() {
                true => "-".to_owned(),
                false => format!("{ratio:.2}"),
            }));
        }
        cells
    }
}

pub(super) fn run(args: &Args) -> Result<Report, Failure> {
    let common = args.common();
    let cases = common.cases(&args.memory)?;
    let host = open_host()?;
    let mut progress = Progress::new();
    let (mut rows, mut violations) = (Vec::new(), Vec::new());
    for (memory, guests) in cases {
        for &run in &args.runs {
            let case = format!("bench cow {memory}, in runs of {run}");
            let mut watch = watching(&mut progress, &case);
            let pattern = Pattern { pages: args.pages, run };
            let times = cow::measure(&host, &guests, pattern, args.samples, &mut watch)?;
            rows.extend((0..times.methods.len()).map(|at| Row::of(memory, run, &times, at)));
            let of_case = |what: &String| format!("in runs of {run}: {what}");
            violations.extend(times.violations.iter().map(of_case));
        }
    }
    let notes = "times in us for all pages of a sample";
    Ok(Report::new("cow", &common.setting(), notes, &rows, violations))
}
