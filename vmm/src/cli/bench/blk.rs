//! `pincow bench blk`.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use super::super::memory_size::MemorySize;
use super::super::progress::Progress;
use super::super::{Failure, open_host};
use super::report::Report;
use super::{Common, samples_in_range, watching};
use crate::bench::blk::{self, Blk, MOST_BYTES, MOST_DEPTH};
use crate::virtio::blk::Direction;

mod row;

use row::{Costs, Row};

/// Disk transfers of a guest, beside the same by a bare loop on the host.
///
/// The guest keeps so many transfers of one length in flight, on a raw file past the page cache; a
/// loop on the host does the same on the same file with nothing but io_uring. Both follow the same
/// random pattern of places, prepare and verify each transfer alike, and take turns of about 100 ms.
/// `from-device`: the guest reads the disk; `to-device`: it writes it. What it wrote is read back
/// afterwards and compared word by word; exit status 1 if a byte is wrong.
///
/// `ratio`: transfers of the guest in a second over those of the bare loop, in the middle and at the
/// ends of all turns. Beside it what only the guest has, per transfer: doorbells (exits of the guest),
/// wake-ups of the disk's thread, and that thread's CPU time with the kernel's part. Under the table:
/// what each exit and wake-up costs on this host.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    common: Common,

    /// How many transfers are in flight: 1 to 64. One case each.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1,8,64",
        value_name = "N[,N..]",
        value_parser = clap::value_parser!(u64).range(1..=MOST_DEPTH)
    )]
    depth: Vec<u64>,

    /// How long each transfer is, such as 4K: a multiple of 512 bytes, up to 128K. One case each.
    #[arg(long, value_delimiter = ',', default_value = "4K,128K", value_name = "SIZE[,SIZE..]", value_parser = transfer_size)]
    block: Vec<MemorySize>,

    /// Which way the bytes go. One case each.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "from-device,to-device",
        value_name = "WAY[,WAY]"
    )]
    direction: Vec<Way>,

    /// Guest memory, such as 64M or 1G: a multiple of 2 MiB.
    #[arg(long, default_value = "64M", value_name = "SIZE")]
    memory: MemorySize,

    /// How large the disk is, all of which is written beforehand.
    #[arg(long, default_value = "64M", value_name = "SIZE", value_parser = disk_size)]
    size: MemorySize,

    /// How many turns each has in each case.
    #[arg(long, default_value = "9", value_name = "N", value_parser = samples_in_range)]
    samples: usize,

    /// Where the disk's file is made, and removed again.
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    dir: PathBuf,
}

fn transfer_size(text: &str) -> Result<MemorySize, String> {
    let size: MemorySize = text.parse().map_err(|error| format!("{error}"))?;
    match size.0 {
        bytes @ 512..=MOST_BYTES if bytes.is_multiple_of(512) => Ok(size),
        _ => Err("write a multiple of 512 bytes, from 512 to 128K".into()),
    }
}

fn disk_size(text: &str) -> Result<MemorySize, String> {
    const MIB: u64 = 1 << 20;
    let size: MemorySize = text.parse().map_err(|error| format!("{error}"))?;
    match size.0 {
        bytes if bytes.is_multiple_of(MIB) && (1..=1 << 20).contains(&(bytes / MIB)) => Ok(size),
        _ => Err("write a multiple of 1M, from 1M to 1024G".into()),
    }
}

/// A direction, as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Way {
    /// The device writes guest memory: reads of the disk.
    FromDevice,
    /// The device reads guest memory: writes to the disk.
    ToDevice,
}

impl Way {
    fn direction(self) -> Direction {
        match self {
            Self::FromDevice => Direction::FromDevice,
            Self::ToDevice => Direction::ToDevice,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::FromDevice => "from-device",
            Self::ToDevice => "to-device",
        }
    }
}

pub(super) fn run(args: &Args) -> Result<Report, Failure> {
    let common = &args.common;
    let guests = common.guests(args.memory)?;
    let host = open_host()?;
    let mut progress = Progress::new();
    progress.at(|| "bench blk: writing the disk".into());
    let mut bench = Blk::new(&host, &guests, args.size.0, &args.dir)?;
    let (mut rows, mut violations) = (Vec::new(), Vec::new());
    for &way in &args.direction {
        for &block in &args.block {
            for &depth in &args.depth {
                let (direction, block_bytes) = (way.direction(), block.0);
                let case = blk::Case { direction, block_bytes, depth };
                let name = format!("bench blk {} {block} at depth {depth}", way.name());
                let mut watch = watching(&mut progress, &name);
                let times = bench.measure(case, args.samples, &mut watch)?;
                rows.push(Row::of(way, case, &times));
                let named = |violation| format!("{name}: {violation}");
                violations.extend(times.violations.into_iter().map(named));
            }
        }
    }
    let costs = Costs::of(&bench.exits(args.samples)?);
    let notes = match bench.is_direct() {
        true => "per transfer: doorbells, wake-ups and CPU of the disk's thread",
        false => "through the page cache, since the folder's file system has no O_DIRECT (--dir)",
    };
    let report = Report::new("blk", &common.setting(), notes, &rows, violations);
    let report = report.with("direct", &bench.is_direct(), None);
    Ok(report.with("exits", &costs, Some(costs.text())))
}
