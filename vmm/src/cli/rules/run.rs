//! `pincow rules run`.

use std::path::PathBuf;
use std::process::ExitCode;

use pincow_mmu::rules::RuleSet;
use pincow_mmu::scenario::Script;
use serde::Serialize;

use super::choice::{PlaceName, SetChoice, chosen, each_once, tell_known_findings};
use super::input;
use super::places::{Places, Shown};
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::{Failure, Outcome};

/// Run scenario scripts under rule sets, and print what each showed.
///
/// A script has one operation a line, `#` begins a comment, and `scenario ID` begins a new
/// scenario. The guest P exists at the start; its page has a sector that devices write and one that
/// CPUs write:
///
/// write G | read G | fork G CHILD | destroy G | write_protect G | evict G | hold G | release G |
/// pin G R|W short|long PIN [uncounted] | dma_write PIN | dma_read PIN | unpin PIN
///
/// Findings: LEAK (bytes of another guest were seen), LOST (a device's write was missed), CORRUPT
/// (a CPU's write was missed), STALE (a device saw old bytes), and, which is legal, OLD (a short
/// pin kept the bytes of its time), BUSY (an operation was refused) and WAIT (it had to wait).
///
/// On a real guest a pin is a virtio-blk request: R writes the disk from the page, W reads the disk to
/// its first sector. The device pins the page, moves bytes as often as the script says, and completes
/// the request when the script unpins. What virtio-blk cannot say gets a line that tells so.
///
/// Exit status: 0 when all scripts ran, whatever they showed; 2 when an input is malformed, and
/// then none of them ran, or when a place is not to be had here.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Scripts; `-` is stdin.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Rule sets by name (see `pincow rules table`), or `all`.
    #[arg(long, value_delimiter = ',', default_value = "all", value_name = "NAME")]
    rules: Vec<SetChoice>,

    /// Where scenarios happen.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "model", value_name = "PLACE")]
    on: Vec<PlaceName>,

    /// Where the disks of guests are made (for `--on guest`); they leave no files.
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    dir: PathBuf,

    /// Print one JSON object a line for each scenario, rule set and place.
    #[arg(long)]
    json: bool,

    /// Accepted, as by commands that run guests, and not needed.
    #[arg(long = "unsafe")]
    _allow_unsafe: bool,
}

/// What one scenario showed, as it is printed.
#[derive(Serialize)]
struct Line<'a> {
    scenario: &'a str,
    rules: RuleSet,
    on: PlaceName,
    #[serde(flatten)]
    shown: Shown,
}

pub(super) fn run(args: &Args) -> Outcome {
    let inputs: Result<Vec<_>, _> = args.files.iter().map(|file| input::scripts(file)).collect();
    let scripts: Vec<Script> = inputs?.into_iter().flatten().collect();
    let sets = chosen(&args.rules);
    let places = Places::open(each_once(args.on.iter().copied()), args.dir.clone())?;
    sets.iter().for_each(|set| tell_known_findings(*set));

    let mut printer = Printer::new(args.json, &scripts);
    let mut progress = Progress::new();
    for (done, script) in scripts.iter().enumerate() {
        progress.at(|| format!("{done} of {} scenarios", scripts.len()));
        for &rules in &sets {
            places.run(script, rules, |on, shown| {
                printer.print(&Line { scenario: &script.id, rules, on, shown })
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints lines as they come.
struct Printer {
    out: Output,
    json: bool,
    widest: usize,
    /// It comes with the first line: a command that cannot begin prints nothing.
    has_heading: bool,
}

impl Printer {
    fn new(json: bool, scripts: &[Script]) -> Self {
        let ids = scripts.iter().map(|script| script.id.chars().count());
        let widest = ids.max().unwrap_or(0).max("scenario".len());
        Self { out: Output::new(), json, widest, has_heading: false }
    }

    fn print(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        if self.json {
            return self.out.json(line);
        }
        if !std::mem::replace(&mut self.has_heading, true) {
            self.columns(["scenario", "rules", "on", "copies", "findings"])?;
        }
        let (copies, findings) = match &line.shown {
            Shown::Outcome { findings, copies } => {
                let names: Vec<_> = findings.iter().map(|finding| finding.name()).collect();
                let names = if names.is_empty() { "ok".to_owned() } else { names.join("+") };
                (copies.to_string(), names)
            }
            Shown::Inexpressible { not_expressible } => {
                ("-".to_owned(), format!("not expressible: {not_expressible}"))
            }
        };
        let [rules, on] = [line.rules.to_string(), line.on.to_string()];
        self.columns([line.scenario, &rules, &on, &copies, &findings])
    }

    fn columns(&mut self, cells: [&str; 5]) -> Result<(), Failure> {
        let ([scenario, rules, on, copies, findings], widest) = (cells, self.widest);
        self.out.text(|to| {
            writeln!(to, "{scenario:widest$}  {rules:15}  {on:6}  {copies:>6}  {findings}")
        })
    }
}
