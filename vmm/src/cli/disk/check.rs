//! `pincow disk check`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::Outcome;
use crate::cli::output::Output;
use crate::disk::overlay;

/// Check an overlay and the files under it, without changing anything.
///
/// Exit status 0 means that all is well, and 1 that damage was found, which is printed. It reads
/// maps, not the bytes of the disk: those have no checksums.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The overlay.
    file: PathBuf,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let inspection = overlay::inspect(&args.file)?;
    let mut out = Output::new();
    if args.json {
        out.json(&inspection)?;
    } else {
        out.text(|to| {
            for (word, lines) in [("note", &inspection.notes), ("damage", &inspection.damage)] {
                for line in lines {
                    writeln!(to, "{word}: {line}")?;
                }
            }
            let (files, damage) = (inspection.layers.len(), inspection.damage.len());
            writeln!(to, "{files} files read, {damage} damaged places found")
        })?;
    }
    Ok(ExitCode::from(u8::from(!inspection.damage.is_empty())))
}
