//! `pincow bench report`: the page on what was measured.
//!
//! | module | idea |
//! | --- | --- |
//! | `input`, `node` | what the benchmarks printed, read as what anybody could have written |
//! | `measure` | the benchmarks, run one after the other |
//! | `sections` | what each benchmark has on the page |
//! | `rows`, `lines`, `scale`, `svg` | plots; drawn here, so that the page's style sheet decides about colours, light and dark |
//! | `table`, `html`, `text` | the page and its Markdown, in which no text can become markup |
//! | `out` | files that appear whole or not at all |

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::output::Output;
use super::super::{Failure, Outcome};
use input::Run;
use out::Place;

mod html;
mod input;
mod lines;
mod measure;
mod node;
mod out;
mod rows;
mod scale;
mod sections;
mod svg;
mod table;
#[cfg(test)]
mod tests;
mod text;

/// Write one page with plots and tables of what was measured, and print the tables.
///
/// The page needs nothing else: no network, no scripts. The plots are in it, and so is each table with
/// the machine, its kernel, the command and the spread (p50, p99, n), once more as Markdown, which is
/// what is printed: it is ready for a README.
///
/// Given files, each with what one or more `pincow bench .. --json` printed, the page is on those; runs
/// of one benchmark, on different backings for instance, share a plot. Given none, the benchmarks are
/// run first, on both backings where these differ, in some minutes; what cannot be measured here is
/// listed on the page.
///
/// Exit status 1 if the page tells of a guest that held a wrong byte, or of a benchmark that could not
/// be run. A file that is not such output, is of another version or is cut off: status 2, and nothing
/// is written.
///
///   pincow bench report
///   pincow bench clone --backing hostcow --json >clone.json && pincow bench report clone.json
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct Args {
    /// What `pincow bench .. --json` printed. Without any, the benchmarks are run.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The page. One that is there is replaced, once the new one is whole.
    #[arg(long, default_value = "report.html", value_name = "FILE")]
    out: PathBuf,

    /// Keep what the benchmarks print in this folder, a file each.
    #[arg(long, value_name = "FOLDER", conflicts_with = "files")]
    keep: Option<PathBuf>,

    /// Where benchmarks of disks make their files, and remove them again.
    #[arg(long, default_value = ".", value_name = "FOLDER", conflicts_with = "files")]
    dir: PathBuf,

    /// Run the benchmarks with so few samples that it takes seconds: to see the page, not to
    /// believe it.
    #[arg(long, conflicts_with = "files")]
    quick: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let place = Place::at(&args.out)?;
    let (runs, missing) = match args.files.as_slice() {
        [] => measure::all(args)?,
        files => (read(files)?, Vec::new()),
    };
    let sections = sections::sections(&runs)?;
    place.put(&html::page(&sections, &missing))?;
    let markdown = html::markdown(&sections, &missing);
    Output::new().text(|to| to.write_all(markdown.as_bytes()))?;
    eprintln!("pincow: the page is {}", place.path().display());
    let is_well = missing.is_empty() && runs.iter().all(|run| run.violations.is_empty());
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(files: &[PathBuf]) -> Result<Vec<Run>, Failure> {
    let mut runs = Vec::new();
    for file in files {
        runs.extend(input::read(file)?);
    }
    Ok(runs)
}
