//! `pincow bench density`.

use serde::Serialize;

use super::super::memory_size::MemorySize;
use super::super::progress::Progress;
use super::super::spread::Spread;
use super::super::{Failure, open_host};
use super::report::{Case, Report, tenths_of_us};
use super::{Common, samples_in_range, watching};
use crate::bench::density::{self, ALLOWED_BYTES, Crowd, Density, Each, Look};

/// What idle clones of a snapshot take, many of which are alive at once.
///
/// The clones are of a snapshot of a guest all of whose memory is resident, and that waits for a
/// command. Each is started and answers a ping by its own vCPU, and then waits; when all are alive, the
/// kernel is asked what they have added, and each answers once more. The floor is as many machines made of
/// the bare KVM calls, each over a MAP_PRIVATE mapping of one memfd with the same bytes.
///
/// `unique`: blocks of memfds and anonymous memory of the process, by the kernel; `wrote`: of that, pages
/// that guests wrote. `pss`: the proportional share of the process; `page tables`: those of the process;
/// `KVM's`: the host's page tables of guests; `host`: what the host has less available, with everything else
/// that it does meanwhile. All of them for one guest, on average over all, in KiB.
///
/// What a process may have (files, threads, mappings, memory) is looked at beforehand, and raised where it
/// may be; exit status 2 says how many would fit.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    pub(super) common: Common,

    /// Guest memory, such as 64M or 1G: a multiple of 2 MiB. Two cases each.
    #[arg(long, value_delimiter = ',', default_value = "64M", value_name = "SIZE[,SIZE..]")]
    pub(super) memory: Vec<MemorySize>,

    /// How many clones are alive at once, and then how many floors.
    #[arg(long, default_value = "1000", value_name = "N", value_parser = samples_in_range)]
    pub(super) clones: usize,

    /// How many pages each writes when it has answered.
    #[arg(long, default_value_t = 0, value_name = "PAGES", value_parser = clap::value_parser!(u64).range(0..=1 << 20))]
    pub(super) write: u64,
}

/// One side, at one memory size.
#[derive(Serialize)]
struct Row {
    side: &'static str,
    memory_bytes: u64,
    n: usize,
    each_bytes: Each,
    spawn_us: Spread,
    spawn_all_ms: f64,
    spawn_samples_us: Vec<f64>,
    written_samples_bytes: Vec<u64>,
    looks: Vec<Look>,
}

impl Row {
    fn of(side: &'static str, memory: MemorySize, crowd: &Crowd) -> Self {
        Self {
            side,
            memory_bytes: memory.0,
            n: crowd.spawn.len(),
            each_bytes: crowd.each(),
            spawn_us: Spread::of(&crowd.spawn),
            spawn_all_ms: crowd.spawn.iter().sum::<std::time::Duration>().as_secs_f64() * 1e3,
            spawn_samples_us: tenths_of_us(&crowd.spawn),
            written_samples_bytes: crowd.written_bytes.clone(),
            looks: crowd.looks.clone(),
        }
    }
}

impl Case for Row {
    const HEADINGS: &'static [&'static str] = &[
        "side",
        "memory",
        "n",
        "unique",
        "wrote",
        "pss",
        "page tables",
        "KVM's",
        "host",
        "threads",
        "files",
        "mappings",
        "spawn p50",
        "p99",
        "all",
    ];

    fn cells(&self) -> Vec<String> {
        let each = &self.each_bytes;
        let count = |value: f64| format!("{value:.1}");
        vec![
            self.side.to_owned(),
            MemorySize(self.memory_bytes).to_string(),
            self.n.to_string(),
            kib(each.unique),
            kib(each.written),
            kib(each.pss),
            kib(each.page_tables),
            each.kvm_page_tables.map_or_else(|| "-".to_owned(), kib),
            kib(each.host),
            count(each.threads),
            count(each.descriptors),
            count(each.mappings),
            format!("{:.0}", self.spawn_us.p50),
            format!("{:.0}", self.spawn_us.p99),
            format!("{:.0}", self.spawn_all_ms),
        ]
    }
}

fn kib(bytes: f64) -> String {
    format!("{:.1}", bytes / 1024.0)
}

/// Both sides, beside each other.
#[derive(Serialize)]
struct Comparison {
    memory_bytes: u64,
    clones: usize,
    /// Unique memory of a clone, less that of a bare machine.
    beyond_floor_bytes: f64,
    /// The most that this may be: 64 KiB, and the pages that the clone wrote.
    limit_bytes: f64,
    within_limit: bool,
}

impl Comparison {
    fn of(memory: MemorySize, clones: usize, density: &Density) -> Self {
        let (beyond_floor_bytes, limit_bytes) = density.beyond_floor();
        let within_limit = beyond_floor_bytes <= limit_bytes;
        Self { memory_bytes: memory.0, clones, beyond_floor_bytes, limit_bytes, within_limit }
    }

    fn line(&self) -> String {
        let &Self { memory_bytes, clones, beyond_floor_bytes, limit_bytes, within_limit } = self;
        format!(
            "{}: {clones} clones alive at once, each of which answered twice; a clone takes {} KiB more than a \
             bare machine, {} the limit of {} (the pages that it wrote, and {} KiB)",
            MemorySize(memory_bytes),
            kib(beyond_floor_bytes),
            if within_limit { "within" } else { "above" },
            kib(limit_bytes),
            ALLOWED_BYTES / 1024,
        )
    }
}

pub(super) fn run(args: &Args) -> Result<Report, Failure> {
    let common = &args.common;
    let cases = common.cases(&args.memory)?;
    let host = open_host()?;
    let mut progress = Progress::new();
    let (mut rows, mut comparisons) = (Vec::new(), Vec::new());
    for (memory, guests) in cases {
        let case = format!("bench density {memory}");
        let mut watch = watching(&mut progress, &case);
        let density = density::measure(&host, &guests, args.clones, args.write, &mut watch)?;
        rows.push(Row::of("clone", memory, &density.ours));
        rows.push(Row::of("floor", memory, &density.floor));
        comparisons.push(Comparison::of(memory, args.clones, &density));
    }
    let text = comparisons.iter().map(Comparison::line).collect::<Vec<_>>().join("\n");
    let notes = "memory of one guest in KiB, times to spawn in us, all of them in ms";
    let report = Report::new("density", &common.setting(), notes, &rows, Vec::new());
    Ok(report.with("comparisons", &comparisons, Some(text)))
}
