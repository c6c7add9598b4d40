//! `pincow disk create`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

use crate::cli::memory_size::MemorySize;
use crate::cli::{Failure, Outcome};
use crate::disk::overlay::{self, BaseKind, BaseSpec, NewOverlay};
use crate::disk::{ClusterSize, DiskError};

/// What a base is.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// The bytes of a disk as they are.
    Raw,
    /// An overlay that was made by this command.
    Overlay,
}

/// Make an overlay, which a guest writes in place of its base.
///
/// The base is never written by it, and must not be written by anybody else.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The disk to lie on. Without one, all of the new disk holds zeroes.
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,

    /// What the base is. Needed only where it begins like an overlay, which a guest could have
    /// written there; otherwise it is raw.
    #[arg(long, value_name = "FORMAT", requires = "base")]
    base_format: Option<Format>,

    /// Size of the disk, at least that of its base, such as 10G [default: that of the base].
    #[arg(long, required_unless_present = "base")]
    size: Option<MemorySize>,

    /// Bytes of a cluster: a power of two from 4K to 64K. An overlay on an overlay has those of the
    /// other.
    #[arg(long, value_name = "SIZE", default_value = "64K")]
    cluster: MemorySize,

    /// The file to make.
    overlay: PathBuf,
}

pub(super) fn run(args: &Args) -> Outcome {
    let base = args.base.as_ref().map(|path| spec(path, args.base_format)).transpose()?;
    let new = NewOverlay {
        base,
        size_bytes: args.size.map(|size| size.0),
        cluster: ClusterSize::from_bytes(args.cluster.0)?,
    };
    overlay::create(&args.overlay, &new)?;
    Ok(ExitCode::SUCCESS)
}

fn spec(path: &std::path::Path, format: Option<Format>) -> Result<BaseSpec, Failure> {
    let kind = match format {
        Some(Format::Raw) => BaseKind::Raw,
        Some(Format::Overlay) => BaseKind::Overlay,
        None if overlay::begins_like_an_overlay(path)? => {
            return Err(DiskError::Ambiguous { path: path.to_owned() }.into());
        }
        None => BaseKind::Raw,
    };
    Ok(BaseSpec { path: path.to_owned(), kind })
}
