//! `pincow bench pin`.

use serde::Serialize;

use super::super::Failure;
use super::super::progress::Progress;
use super::super::spread::Spread;
use super::report::{Case, Report, ratio, tenths};
use super::{Rulings, Setting, samples_in_range, watching};
use crate::bench::pin::{self, Contention, PinTimes};

/// A pin of a frame for a transfer, and its end.
///
/// The frame is exclusively its guest's already, so the pin breaks no copy-on-write. `alone`: one
/// thread. `two-guests`: two threads, each for a guest of its own, of one family. `one-guest`: two
/// threads for one guest, each pins a frame of its own. `one-frame`: both pin the same frame. No guest
/// runs, and KVM is not needed. Each sample is the mean of 10000 pins of each thread; `speed-up` is how
/// many times as many pins all threads take in a second as one thread alone. Exit status 1 if a
/// frame's count is not what it was.
///
/// The floor is an atomic addition and a subtraction on a word of the thread's own, or on the same
/// word where the frame is the same.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    rulings: Rulings,

    /// How many samples of each case, and of the floor.
    #[arg(long, default_value = "200", value_name = "N", value_parser = samples_in_range)]
    samples: usize,
}

/// How one kind of contention did.
#[derive(Serialize)]
struct Row {
    case: &'static str,
    threads: usize,
    n: usize,
    pin_ns: Spread,
    floor_ns: Spread,
    ratio_p50: f64,
    ratio_p99: f64,
    speed_up: f64,
    samples_ns: Vec<f64>,
    floor_samples_ns: Vec<f64>,
}

impl Row {
    fn of(contention: Contention, times: &PinTimes, alone: Option<&Self>) -> Self {
        let (pin, floor) = (spread(&times.pin), spread(&times.floor));
        let threads = contention.threads();
        let single = alone.map_or(pin.p50, |alone| alone.pin_ns.p50);
        Self {
            case: contention.name(),
            threads,
            n: times.pin.len(),
            pin_ns: pin,
            floor_ns: floor,
            ratio_p50: ratio(pin.p50, floor.p50),
            ratio_p99: ratio(pin.p99, floor.p99),
            speed_up: ratio(single * threads as f64, pin.p50),
            samples_ns: tenths(&times.pin),
            floor_samples_ns: tenths(&times.floor),
        }
    }
}

fn spread(nanoseconds: &[f64]) -> Spread {
    Spread::of_values(nanoseconds.iter().copied())
}

impl Case for Row {
    const HEADINGS: &'static [&'static str] = &[
        "case",
        "threads",
        "n",
        "pin p50",
        "p99",
        "floor p50",
        "p99",
        "ratio p50",
        "p99",
        "speed-up",
    ];

    fn cells(&self) -> Vec<String> {
        let (pin, floor) = (self.pin_ns, self.floor_ns);
        let mut cells = vec![self.case.to_owned(), self.threads.to_string(), self.n.to_string()];
        let times = [pin.p50, pin.p99, floor.p50, floor.p99];
        cells.extend(times.map(|value| format!("{value:.1}")));
        let ratios = [self.ratio_p50, self.ratio_p99, self.speed_up];
        cells.extend(ratios.map(|value| format!("{value:.2}")));
        cells
    }
}

pub(super) fn run(args: &Args) -> Result<Report, Failure> {
    let sharing = args.rulings.rules.sharing()?;
    let mut progress = Progress::new();
    let (mut rows, mut violations) = (Vec::<Row>::new(), Vec::new());
    for contention in Contention::ALL {
        let case = format!("bench pin {}", contention.name());
        let mut watch = watching(&mut progress, &case);
        let times = pin::measure(sharing, contention, args.samples, &mut watch)?;
        rows.push(Row::of(contention, &times, rows.first()));
        violations.extend(times.violations);
    }
    let setting = Setting { rulings: &args.rulings, vcpus: None };
    let notes = "times in ns per pin and unpin of a thread, mean of a sample";
    Ok(Report::new("pin", &setting, notes, &rows, violations))
}
