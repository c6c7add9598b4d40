//! `pincow disk info`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::Outcome;
use crate::cli::memory_size::rounded;
use crate::cli::output::Output;
use crate::disk::overlay::{self, BaseKind, Inspection, Layer};

/// Print what an overlay is, and the files under it.
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
        out.text(|to| write(to, &inspection))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn write(to: &mut dyn Write, inspection: &Inspection) -> io::Result<()> {
    for layer in &inspection.layers {
        describe(to, layer)?;
    }
    for note in &inspection.notes {
        writeln!(to, "note: {note}")?;
    }
    for damage in &inspection.damage {
        writeln!(to, "damage: {damage}")?;
    }
    Ok(())
}

fn describe(to: &mut dyn Write, layer: &Layer) -> io::Result<()> {
    let kind = match layer.kind {
        BaseKind::Raw => "raw",
        BaseKind::Overlay => "overlay",
    };
    writeln!(to, "{}: {kind}", layer.path.display())?;
    writeln!(to, "  disk            {}", rounded(layer.disk_bytes))?;
    writeln!(to, "  on its device   {}", rounded(layer.allocated_bytes))?;
    if let Some(cluster) = layer.cluster_bytes {
        writeln!(to, "  clusters        {} of {}", layer.mapped_clusters, rounded(cluster))?;
        writeln!(to, "  written         {}", rounded(layer.stored_bytes))?;
        writeln!(to, "  zeroed          {}", rounded(layer.zero_bytes))?;
        writeln!(to, "  flushes in log  {}", layer.flushes_in_log)?;
    }
    Ok(())
}
