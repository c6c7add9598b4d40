//! `pincow disk flatten`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::Outcome;
use crate::cli::progress::Progress;
use crate::disk::{Disk, DiskOptions, overlay};

/// Write an overlay and all that is under it as one raw disk.
///
/// The new file has holes for zeroes. It appears when it is whole.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The overlay.
    file: PathBuf,

    /// The raw disk to make.
    out: PathBuf,
}

pub(super) fn run(args: &Args) -> Outcome {
    let disk = Disk::open(&args.file, true, DiskOptions::default())?;
    let mut progress = Progress::new();
    overlay::flatten(&disk, &args.out, |done, total| {
        progress.at(|| {
            let percent = u128::from(done) * 100 / u128::from(total.max(1));
            format!("flattening: {} of {} MiB, {percent} %", done >> 20, total >> 20)
        });
    })?;
    Ok(ExitCode::SUCCESS)
}
