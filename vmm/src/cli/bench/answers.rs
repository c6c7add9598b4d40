//! Benchmarks that wait for the first answer of a guest that is made: clones and boots.

use std::marker::PhantomData;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::super::memory_size::MemorySize;
use super::super::progress::Progress;
use super::super::spread::Spread;
use super::super::{Failure, open_host};
use super::report::{Case, Report, micros, ratio, tenths_of_us};
use super::{Common, samples_in_range, watching};
use crate::bench::{BenchError, Guests, Times, Watch};
use crate::kvm::Host;

/// What is made.
pub(super) trait Made {
    /// The benchmark's name, which its fields begin with.
    const NAME: &'static str;
    const HEADINGS: &'static [&'static str];
}

/// The headings of a table in which pincow's times stand in the column `ours`.
pub(super) const fn headings(ours: &'static str) -> [&'static str; 10] {
    ["memory", "n", ours, "p99", "floor p50", "p99", "ratio p50", "p99", "to answer p50", "ratio"]
}

/// How much is measured.
#[derive(clap::Args)]
pub(super) struct Effort {
    #[command(flatten)]
    common: Common,

    /// Guest memory, such as 64M or 1G: a multiple of 2 MiB. One case each.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "64M,256M,1G",
        value_name = "SIZE[,SIZE..]"
    )]
    memory: Vec<MemorySize>,

    /// How many are measured, and how many floors.
    #[arg(long, default_value = "200", value_name = "N", value_parser = samples_in_range)]
    samples: usize,
}

/// One memory size.
struct Row<M> {
    memory_bytes: u64,
    times: Times,
    made: PhantomData<M>,
}

/// What the times come to: pincow, the floor, and the floor up to the same answer.
struct Spreads([Spread; 3]);

impl Spreads {
    fn of(times: &Times) -> Self {
        Self([&times.ours, &times.floor, &times.floor_answer].map(|times| Spread::of(times)))
    }

    /// By p50 and p99 to the floor, and by p50 to its answer.
    fn ratios(&self) -> [f64; 3] {
        let Self([ours, floor, answer]) = self;
        [ratio(ours.p50, floor.p50), ratio(ours.p99, floor.p99), ratio(ours.p50, answer.p50)]
    }
}

impl<M: Made> Serialize for Row<M> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let times = &self.times;
        let spreads = Spreads::of(times);
        let [p50, p99, to_answer] = spreads.ratios();
        let sides = [M::NAME, "floor", "floor_to_answer"];
        let samples = [&times.ours, &times.floor, &times.floor_answer];
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("memory_bytes", &self.memory_bytes)?;
        map.serialize_entry("n", &times.ours.len())?;
        for ((side, spread), samples) in sides.iter().zip(spreads.0).zip(samples) {
            map.serialize_entry(&format!("{side}_us"), &spread)?;
            map.serialize_entry(&format!("{side}_samples_us"), &tenths_of_us(samples))?;
        }
        map.serialize_entry("ratio_p50", &p50)?;
        map.serialize_entry("ratio_p99", &p99)?;
        map.serialize_entry("ratio_to_answer_p50", &to_answer)?;
        map.end()
    }
}

impl<M: Made> Case for Row<M> {
    const HEADINGS: &'static [&'static str] = M::HEADINGS;

    fn cells(&self) -> Vec<String> {
        let spreads = Spreads::of(&self.times);
        let [ours, floor, [to_answer, _]] = spreads.0.map(micros);
        let [p50, p99, ratio_to_answer] = spreads.ratios().map(|ratio| format!("{ratio:.2}"));
        let mut cells =
            vec![MemorySize(self.memory_bytes).to_string(), self.times.ours.len().to_string()];
        cells.extend(ours.into_iter().chain(floor));
        cells.extend([p50, p99, to_answer, ratio_to_answer]);
        cells
    }
}

/// A report on what `measure` finds, for each memory size.
pub(super) fn run<M: Made>(
    effort: &Effort,
    measure: impl Fn(&Arc<Host>, &Guests, usize, Watch<'_>) -> Result<Times, BenchError>,
) -> Result<Report, Failure> {
    let Effort { common, memory, samples } = effort;
    let cases = common.cases(memory)?;
    let host = open_host()?;
    let mut progress = Progress::new();
    let mut rows = Vec::new();
    for (memory, guests) in cases {
        let case = format!("bench {} {memory}", M::NAME);
        let times = measure(&host, &guests, *samples, &mut watching(&mut progress, &case))?;
        rows.push(Row::<M> { memory_bytes: memory.0, times, made: PhantomData });
    }
    Ok(Report::new(M::NAME, &common.setting(), "times in us", &rows, Vec::new()))
}
