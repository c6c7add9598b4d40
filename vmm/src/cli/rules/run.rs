//! `pincow rules run`.

use std::path::PathBuf;
use std::process::ExitCode;

use pincow_mmu::scenario::Script;

use super::choice::{PlaceName, SetChoice, chosen, each_once, tell_known_findings};
use super::input;
use super::places::Places;
use super::rows::{Printer, Row};
use crate::cli::Outcome;
use crate::cli::progress::Progress;
use crate::guest::BackingKind;

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
/// With `--backing hostcow` the host's kernel (in the model, its stand-in) answers the first write to a shared page,
/// with a copy each time, and the rules decide about pins, forks and evictions. It cannot write-protect single
/// pages, and not all rule sets leave first writes to it: rows that want either are left out, each with a
/// line that tells so, and are counted at the end.
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

    /// Who answers the first write to a shared page.
    #[arg(long, value_enum, default_value = "trap", value_name = "KIND")]
    backing: BackingKind,

    /// Where the disks of guests are made (for `--on guest`); they leave no files.
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    dir: PathBuf,

    /// Print one JSON object a line for each scenario, rule set and place; with `--backing hostcow`,
    /// another one with the counts.
    #[arg(long)]
    json: bool,

    /// Accepted, as by commands that run guests, and not needed.
    #[arg(long = "unsafe")]
    _allow_unsafe: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let inputs: Result<Vec<_>, _> = args.files.iter().map(|file| input::scripts(file)).collect();
    let scripts: Vec<Script> = inputs?.into_iter().flatten().collect();
    let sets = chosen(&args.rules);
    let backing = args.backing;
    let places = Places::open(each_once(args.on.iter().copied()), backing, args.dir.clone())?;
    sets.iter().for_each(|set| tell_known_findings(*set));

    let mut printer = Printer::new(args.json, backing, &scripts);
    let mut progress = Progress::new();
    for (done, script) in scripts.iter().enumerate() {
        progress.at(|| format!("{done} of {} scenarios", scripts.len()));
        for &rules in &sets {
            places.run(script, rules, |on, shown| {
                printer.print(&Row { scenario: &script.id, rules, on, backing, shown })
            })?;
        }
    }
    printer.finish()?;
    Ok(ExitCode::SUCCESS)
}
