//! Guests that can be forked: a machine, its memory, and the family that it belongs to.
//!
//! # A fork
//!
//! ```text
//! park the vCPUs            every exit completed; the fault thread keeps running
//! park the disks            each between two completions; their transfers go on
//!   copy their state        registers, queues and requests in flight, without the bytes
//!   plan the disks' forks   all that can fail about them
//!   fork the memory         plan, prepare the child, protect the parent, commit
//!   fork the disks          what was complete at this moment
//! let the parent go on      this ends the pause
//! make the child's machine  from the copied state, over the child's memory
//! let the child go on       where the parent was
//! ```
//!
//! A failure before the parent goes on leaves it as it was. One after it leaves a parent that has
//! lost nothing but a few write faults, and no child.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pincow_mmu::SpaceError;
use pincow_mmu::live::{self, TrapSpace};
use pincow_mmu::rules::Rules;

use crate::boot::linux::Linux;
use crate::devices::Line;
use crate::devices::serial::{SerialSink, nowhere};
use crate::disk::{Disk, DiskError, PlannedFork, PlannedSnapshot};
use crate::kvm::Host;
use crate::machine::{BusDevice, GuestRam, Machine, MachineConfig, MachineState, ParkedAt};
use crate::virtio::blk::{BlkCounts, Policy};

mod disk;
mod error;
mod realm;
mod rest;
mod snapshot;
#[cfg(test)]
mod tests;

use disk::{GuestDisk, ParkedDisk, SavedDisk};

#[cfg(test)]
pub(crate) use disk::pinned;
pub use disk::{DiskConfig, GuestDiskError, MakeEngine, PinMode, uring};
pub use error::GuestError;
pub use realm::{BackingKind, Realm};
pub use rest::Rest;
pub use snapshot::Snapshot;

/// One guest of a family.
///
/// Dropping it stops the guest and gives its memory back; what descendants and snapshots share
/// with it stays.
pub struct Guest {
    // The machine goes first: its vCPUs use the disks and the memory, which the disks use too.
    machine: Machine,
    disks: Vec<GuestDisk>,
    space: Arc<TrapSpace>,
    realm: Arc<Realm>,
}

/// What a new guest is made of.
pub struct GuestConfig {
    /// How many vCPUs.
    pub vcpus: u32,
    /// Where serial output goes.
    pub serial: SerialSink,
    /// Its disks, in the order of their registers.
    pub disks: Vec<DiskConfig>,
    /// What becomes of its requests in flight in a copy.
    pub inflight: Policy,
}

impl Default for GuestConfig {
    /// One vCPU, serial output to nowhere, and no disks.
    fn default() -> Self {
        Self { vcpus: 1, serial: nowhere(), disks: Vec::new(), inflight: Policy::default() }
    }
}

/// A guest at a cut, without its memory: `D` is what became of each disk.
struct Saved<D> {
    machine: MachineState,
    disks: Vec<(SavedDisk, D)>,
}

/// How a fork or snapshot met its guest.
#[derive(Clone, Debug)]
pub struct Cut {
    /// How long the guest stood still.
    pub pause: Duration,
    /// Where each vCPU was.
    pub parked_at: Vec<ParkedAt>,
    /// Transfers of its disks that the kernel had and had not finished.
    pub transfers_in_flight: usize,
    /// Requests to its disks that were taken and not answered: those that a child issues again.
    pub requests_in_flight: usize,
}

impl Cut {
    /// Whether a vCPU was interrupted in its own code, with no exit pending.
    #[must_use]
    pub fn was_mid_run(&self) -> bool {
        self.parked_at.contains(&ParkedAt::MidRun)
    }
}

impl Guest {
    /// The first guest of a family of its own, at the entry of `payload`.
    ///
    /// # Errors
    /// When the host cannot give what the guest needs, or the payload is not one.
    pub fn boot(
        host: &Arc<Host>,
        memory_bytes: u64,
        rules: Rules,
        config: GuestConfig,
        payload: &[u8],
    ) -> Result<Self, GuestError> {
        Self::begin(host, memory_bytes, rules, config, Program::Payload(payload))
    }

    /// The first guest of a family of its own, at the entry of a Linux kernel, with the devices of a
    /// PC.
    ///
    /// # Errors
    /// When the host cannot give what the guest needs, or the kernel cannot be booted.
    pub fn boot_linux(
        host: &Arc<Host>,
        memory_bytes: u64,
        rules: Rules,
        config: GuestConfig,
        linux: &Linux,
    ) -> Result<Self, GuestError> {
        Self::begin(host, memory_bytes, rules, config, Program::Linux(linux))
    }

    fn begin(
        host: &Arc<Host>,
        memory_bytes: u64,
        rules: Rules,
        config: GuestConfig,
        program: Program<'_>,
    ) -> Result<Self, GuestError> {
        let realm = Realm::new(host, memory_bytes, rules)?;
        let space = realm.root_space()?;
        let GuestConfig { vcpus, serial, disks, inflight } = config;
        let polls = matches!(program, Program::Payload(_));
        let disk = |config| GuestDisk::new(config, &space, inflight, disk_line(polls)?);
        let disks = disks.into_iter().map(disk).collect::<Result<Vec<_>, _>>()?;
        let config = MachineConfig { vcpus, serial, devices: on_bus(&disks) };
        let ram = GuestRam::of_space(&space);
        let machine = match program {
            Program::Payload(payload) => Machine::boot(host, ram, config, payload)?,
            Program::Linux(linux) => Machine::boot_linux(host, ram, config, linux)?,
        };
        Ok(Self { machine, disks, space, realm })
    }

    /// A guest that goes on where it was saved, over memory and disks that it shares.
    fn resume(
        realm: &Arc<Realm>,
        space: Arc<TrapSpace>,
        serial: SerialSink,
        saved: Saved<Disk>,
    ) -> Result<Self, GuestError> {
        live::attach(&space);
        let polls = saved.machine.pc.is_none();
        let restore = |(state, disk)| GuestDisk::restore(&state, disk, &space, disk_line(polls)?);
        let disks = saved.disks.into_iter().map(restore).collect::<Result<Vec<_>, _>>()?;
        let devices = on_bus(&disks);
        let config = MachineConfig { serial, devices, ..MachineConfig::default() };
        let ram = GuestRam::of_space(&space);
        let machine = Machine::restore(realm.host(), ram, config, &saved.machine)?;
        Ok(Self { machine, disks, space, realm: Arc::clone(realm) })
    }

    /// A child that stands where this guest is now, and shares its memory. This guest goes on at
    /// once; the child when it is started. Its serial output goes to `serial`.
    ///
    /// # Errors
    /// When the guest has ended, the rule set refuses because of a pinned page, or the host has no
    /// room. This guest goes on in any case.
    pub fn fork(&self, serial: SerialSink) -> Result<(Self, Cut), GuestError> {
        let (space, saved, cut) =
            self.cut(TrapSpace::fork, ParkedDisk::plan_fork, PlannedFork::commit)?;
        let child = Self::resume(&self.realm, space, serial, saved)?;
        Ok((child, cut))
    }

    /// A snapshot of this guest, which goes on at once.
    ///
    /// # Errors
    /// As [`fork`](Self::fork).
    pub fn snapshot(&self) -> Result<(Snapshot, Cut), GuestError> {
        let (image, saved, cut) =
            self.cut(TrapSpace::snapshot, ParkedDisk::plan_snapshot, PlannedSnapshot::commit)?;
        Ok((Snapshot::new(Arc::clone(&self.realm), image, saved), cut))
    }

    /// Shares the memory and the disks and copies the rest, while nobody writes. Transfers go on. The
    /// memory is shared when nothing else can fail any more.
    fn cut<'a, T, P, D>(
        &'a self,
        share: impl FnOnce(&TrapSpace) -> Result<T, SpaceError>,
        plan: impl Fn(&ParkedDisk<'a>) -> Result<P, DiskError>,
        commit: impl Fn(P) -> D,
    ) -> Result<(T, Saved<D>, Cut), GuestError> {
        let begun = Instant::now();
        let paused = self.machine.pause()?;
        let mut parked = self.disks.iter().map(GuestDisk::park).collect::<Result<Vec<_>, _>>()?;
        let transfers_in_flight = parked.iter_mut().map(ParkedDisk::in_flight).sum();
        let requests_in_flight = parked.iter().map(ParkedDisk::requests_in_flight).sum();
        let machine = paused.save()?;
        let disk = |disk: &ParkedDisk<'a>| Ok((disk.save(), plan(disk)?));
        let planned = parked.iter().map(disk).collect::<Result<Vec<_>, GuestDiskError>>()?;
        let shared = share(&self.space)?;
        let disks = planned.into_iter().map(|(state, planned)| (state, commit(planned))).collect();
        let parked_at = paused.parked_at().to_vec();
        drop(parked);
        drop(paused);
        let pause = begun.elapsed();
        let cut = Cut { pause, parked_at, transfers_in_flight, requests_in_flight };
        Ok((shared, Saved { machine, disks }, cut))
    }

    /// Changes how transfers of disk number `disk` hold this guest's memory from now on. Those under
    /// way keep what they have, and copies begin as they would have before. Nothing happens where
    /// there is no such disk.
    pub fn set_pins(&self, disk: usize, pins: PinMode) {
        if let Some(disk) = self.disks.get(disk) {
            disk.set_pins(pins);
        }
    }

    /// What the drivers and transfers of its disks did so far, disk by disk.
    #[must_use]
    pub fn disk_counts(&self) -> Vec<BlkCounts> {
        self.disks.iter().map(GuestDisk::counts).collect()
    }

    /// Where the sectors of its disks are, disk by disk.
    pub fn disks(&self) -> impl Iterator<Item = &Disk> {
        self.disks.iter().map(GuestDisk::disk)
    }

    /// The machine: its vCPUs, mailboxes and devices.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The memory.
    #[must_use]
    pub fn space(&self) -> &Arc<TrapSpace> {
        &self.space
    }

    /// What it shares with its family.
    #[must_use]
    pub fn realm(&self) -> &Arc<Realm> {
        &self.realm
    }
}

/// What a new guest runs.
enum Program<'a> {
    Payload(&'a [u8]),
    Linux(&'a Linux),
}

/// The interrupt line of a disk, unless its driver polls.
fn disk_line(polls: bool) -> Result<Option<Line>, GuestDiskError> {
    if polls { Ok(None) } else { Ok(Some(Line::new()?)) }
}

fn on_bus(disks: &[GuestDisk]) -> Vec<BusDevice> {
    disks.iter().enumerate().map(|(index, disk)| disk.on_bus(index)).collect()
}
