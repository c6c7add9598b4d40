//! A guest that writes its disk all the time, for a test that kills it: `kill9-guest FOLDER KIND
//! [early]`.
//!
//! It uses the library as `pincow` does, and says on stdout what it begins and what its guest has
//! seen done, line by line; see `journal.rs`. It never ends by itself.

use std::error::Error;
use std::io::{Write, stdout};
use std::path::Path;
use std::sync::Arc;

use pincow_guest_protocol::Command;
use pincow_guest_protocol::disk::WRITES;
use pincow_guest_protocol::map::{PAGE_BYTES, TABLE_FIRST_PAGE};
use pincow_mmu::rules::{RuleSet, Rules};
use pincow_mmu::scenario::Random;
use pincow_vmm::devices::serial::nowhere;
use pincow_vmm::disk::{Disk, DiskOptions, SECTOR_BYTES};
use pincow_vmm::drive;
use pincow_vmm::guest::{DiskConfig, Guest, GuestConfig, PinMode};
use pincow_vmm::kvm::Host;
use pincow_vmm::payload::PAYLOAD;
use pincow_vmm::virtio::blk::BlkOptions;

mod early;
mod journal;

use journal::{Entry, Kind};

const MEMORY_BYTES: u64 = 16 << 20;

/// Writes that are begun before their ends are looked for.
const DEPTH: usize = 12;

/// The most pages that one write comes from.
const PAGES: u64 = 3;

/// Forks that live on beside their parent.
const CHILDREN: usize = 2;

/// A write that was begun.
struct Begun {
    sequence: u64,
    ticket: u64,
    sectors: std::ops::Range<u64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, kind, early) = match &arguments[..] {
        [folder, kind] => (Path::new(folder), kind.parse()?, false),
        [folder, kind, early] if early == "early" => (Path::new(folder), kind.parse()?, true),
        _ => return Err("usage: kill9-guest FOLDER raw|overlay [early]".into()),
    };
    let guest = boot(folder, kind, early)?;
    let [sectors, ..] =
        drive::call(&guest, 0, Command::DiskInit { device: 0, queue_size: 0, flags: 0 })?;
    let mut writer = Writer { guest, sectors, sequence: start(), random: Random::new(start()) };
    // A raw disk that was forked is written in its file no more.
    let mut children = Vec::new();
    loop {
        let begun = writer.begin()?;
        if kind == Kind::Overlay && writer.random.below(4) == 0 {
            let (child, _) = writer.guest.fork(nowhere())?;
            child.machine().start()?;
            children.insert(0, child);
            children.truncate(CHILDREN);
        }
        writer.see_the_end_of(begun)?;
        if writer.random.below(3) == 0 {
            writer.flush()?;
        }
    }
}

/// Nobody who writes the same disk later writes the same numbers.
fn start() -> u64 {
    u64::from(std::process::id()) << 32
}

fn boot(folder: &Path, kind: Kind, early: bool) -> Result<Guest, Box<dyn Error>> {
    let open = |direct| {
        let options = DiskOptions { direct, ..DiskOptions::default() };
        match kind {
            Kind::Raw => Disk::open_raw(&kind.path(folder), false, options),
            Kind::Overlay => Disk::open(&kind.path(folder), false, options),
        }
        .map(|disk| (disk, direct))
    };
    let (disk, direct) = open(true).or_else(|_| open(false))?;
    let (options, pins) = (BlkOptions::default(), PinMode::Rules);
    let engine = early::engine(early);
    let disk = DiskConfig { disk, direct, options, engine, pins };
    let config = GuestConfig { disks: vec![disk], ..GuestConfig::default() };
    let rules = Rules::from(RuleSet::default());
    let guest = Guest::boot(&Arc::new(Host::open()?), MEMORY_BYTES, rules, config, PAYLOAD)?;
    guest.machine().start()?;
    drive::wait_ready(&guest)?;
    Ok(guest)
}

struct Writer {
    guest: Guest,
    sectors: u64,
    sequence: u64,
    random: Random,
}

impl Writer {
    /// Begins writes to sectors that have nothing in common.
    fn begin(&mut self) -> Result<Vec<Begun>, Box<dyn Error>> {
        let mut begun: Vec<Begun> = Vec::new();
        for slot in 0..DEPTH as u64 {
            let most = PAGES * PAGE_BYTES as u64 / SECTOR_BYTES;
            let first = self.random.below(self.sectors - most);
            let sectors = first..first + 1 + self.random.below(most);
            if begun.iter().any(|it| it.sectors.start < sectors.end && first < it.sectors.end) {
                continue;
            }
            self.sequence += 1;
            let (sequence, page) = (self.sequence, TABLE_FIRST_PAGE + slot * PAGES);
            let fill = Command::Fill { first: page, pages: PAGES, seed: sequence };
            drive::call(&self.guest, 0, fill)?;
            let count = sectors.end - sectors.start;
            say(&Entry::Write { sequence, first, count, page })?;
            let (device, address) = (WRITES, page * PAGE_BYTES as u64);
            let write = Command::DiskBegin { device, sector: first, sectors: count, address };
            let [ticket, ..] = drive::call(&self.guest, 0, write)?;
            begun.push(Begun { sequence, ticket, sectors });
        }
        Ok(begun)
    }

    /// Waits until the guest has seen the end of all of them.
    fn see_the_end_of(&mut self, mut begun: Vec<Begun>) -> Result<(), Box<dyn Error>> {
        while !begun.is_empty() {
            let ended = drive::call(&self.guest, 0, Command::DiskEnded { device: 0 })?;
            let [1, ticket, status, _] = ended else { continue };
            let place = begun.iter().position(|it| it.ticket == ticket);
            let Begun { sequence, .. } = begun.swap_remove(place.ok_or("an unknown ticket")?);
            match status {
                0 => say(&Entry::Done { sequence })?,
                _ => return Err(format!("a write ended with status {status}").into()),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Box<dyn Error>> {
        let [status, ..] = drive::call(&self.guest, 0, Command::DiskFlush { device: 0 })?;
        match status {
            0 => say(&Entry::Flushed),
            _ => Err(format!("a flush ended with status {status}").into()),
        }
    }
}

/// One line, in one write: what was said before a kill can be read after it.
fn say(entry: &Entry) -> Result<(), Box<dyn Error>> {
    Ok(stdout().write_all(format!("{entry}\n").as_bytes())?)
}
