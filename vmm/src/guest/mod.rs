//! Guests that can be forked: a machine, its memory, and the family that it belongs to.
//!
//! # A fork
//!
//! ```text
//! park the vCPUs            every exit completed; the fault thread keeps running
//! park the devices          each between two frames, requests or packets
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

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pincow_guest_protocol::devices::VIRTIO_DEVICES;
use pincow_mmu::SpaceError;
use pincow_mmu::gfn::PAGE_SIZE;
use pincow_mmu::live::{self, LiveSpace};

use crate::boot::linux::Linux;
use crate::disk::{Disk, DiskError, PlannedFork, PlannedSnapshot};
use crate::kvm::Host;
use crate::machine::{GuestRam, Machine, MachineConfig, MachineState, ParkedAt};
use crate::virtio::balloon::{BalloonCounts, Size};
use crate::virtio::blk::BlkCounts;
use crate::virtio::net::{Link, NetCounts};
use crate::virtio::rng::RngCounts;
use crate::virtio::vsock::VsockCounts;

mod config;
mod disk;
mod error;
mod mappings;
mod peripherals;
mod prefault;
mod realm;
mod rest;
mod snapshot;
#[cfg(test)]
pub(crate) mod tests;
mod wiring;

use disk::{GuestDisk, ParkedDisk, SavedDisk};
use mappings::Mappings;
use peripherals::{ChildPeripherals, Peripherals, PeripheralsConfig, SavedPeripherals};
use prefault::Begun;
use wiring::{device_line, on_bus};

#[cfg(test)]
pub(crate) use disk::pinned;

pub use config::{ChildConfig, ChildNet, ChildVsock, GuestConfig};
pub use disk::{DiskConfig, GuestDiskError, InFlight, MakeEngine, PinMode, uring};
pub use error::GuestError;
pub use peripherals::{NetConfig, PeripheralError, VsockConfig};
pub use prefault::Prefault;
pub use realm::{BackingKind, Realm, Sharing};
pub use rest::Rest;
pub use snapshot::Snapshot;

/// One guest of a family.
///
/// Dropping it stops the guest and gives its memory back; what descendants and snapshots share
/// with it stays.
pub struct Guest {
    // The machine goes first: its vCPUs use the devices and the memory, which the devices use too.
    machine: Machine,
    disks: Vec<GuestDisk>,
    peripherals: Peripherals,
    prefault: Option<Begun>,
    space: Arc<LiveSpace>,
    realm: Arc<Realm>,
    _mappings: Mappings,
}

/// A guest at a cut, without its memory: `D` is what became of each disk.
struct Saved<D> {
    machine: MachineState,
    disks: Vec<(SavedDisk, D)>,
    peripherals: SavedPeripherals,
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
        sharing: impl Into<Sharing>,
        config: GuestConfig,
        payload: &[u8],
    ) -> Result<Self, GuestError> {
        Self::begin(host, memory_bytes, sharing.into(), config, Program::Payload(payload))
    }

    /// The first guest of a family of its own, at the entry of a Linux kernel, with the devices of a
    /// PC.
    ///
    /// # Errors
    /// When the host cannot give what the guest needs, or the kernel cannot be booted.
    pub fn boot_linux(
        host: &Arc<Host>,
        memory_bytes: u64,
        sharing: impl Into<Sharing>,
        config: GuestConfig,
        linux: &Linux,
    ) -> Result<Self, GuestError> {
        Self::begin(host, memory_bytes, sharing.into(), config, Program::Linux(linux))
    }

    fn begin(
        host: &Arc<Host>,
        memory_bytes: u64,
        sharing: Sharing,
        config: GuestConfig,
        program: Program<'_>,
    ) -> Result<Self, GuestError> {
        let realm = Realm::new(host, memory_bytes, sharing)?;
        let space = realm.root_space()?;
        let GuestConfig { vcpus, serial, disks, inflight, nets, rng, vsock, balloon } = config;
        let peripherals = PeripheralsConfig { nets, rng, vsock, balloon };
        let wanted = disks.len() + peripherals.count();
        if wanted > VIRTIO_DEVICES {
            return Err(GuestError::Devices { wanted });
        }
        let mappings = Mappings::take(realm.family(), vcpus as usize, wanted)?;
        let line = || device_line(matches!(program, Program::Payload(_)));
        let disk = |config| GuestDisk::new(config, &space, inflight, line()?);
        let disks = disks.into_iter().map(disk).collect::<Result<Vec<_>, _>>()?;
        let peripherals = Peripherals::new(peripherals, &space, &line)?;
        let config = MachineConfig { vcpus, serial, devices: on_bus(&disks, &peripherals) };
        let ram = GuestRam::of_space(&space);
        let machine = match program {
            Program::Payload(payload) => Machine::boot(host, ram, config, payload)?,
            Program::Linux(linux) => Machine::boot_linux(host, ram, config, linux)?,
        };
        Ok(Self { machine, disks, peripherals, prefault: None, space, realm, _mappings: mappings })
    }

    /// A guest that goes on where it was saved, over memory and disks that it shares.
    fn resume(
        realm: &Arc<Realm>,
        space: Arc<LiveSpace>,
        own: ChildConfig,
        saved: Saved<Disk>,
    ) -> Result<Self, GuestError> {
        let devices = saved.disks.len() + saved.peripherals.count();
        let mappings = Mappings::take(realm.family(), saved.machine.vcpus.len(), devices)?;
        let ChildConfig { serial, nets, vsock } = own;
        let own = ChildPeripherals { nets, vsock };
        live::attach(&space);
        let line = || device_line(saved.machine.pc.is_none());
        let restore = |(state, disk)| GuestDisk::restore(&state, disk, &space, line()?);
        let disks = saved.disks.into_iter().map(restore).collect::<Result<Vec<_>, _>>()?;
        let peripherals = Peripherals::restore(&saved.peripherals, own, &space, &line)?;
        let devices = on_bus(&disks, &peripherals);
        let config = MachineConfig { serial, devices, ..MachineConfig::default() };
        let ram = GuestRam::of_space(&space);
        let machine = Machine::restore(realm.host(), ram, config, &saved.machine)?;
        let realm = Arc::clone(realm);
        Ok(Self { machine, disks, peripherals, prefault: None, space, realm, _mappings: mappings })
    }

    /// A child that stands where this guest is now, and shares its memory. This guest goes on at
    /// once; the child when it is started. What the child does not share is `own`: with a
    /// [`SerialSink`](crate::devices::serial::SerialSink) alone, its network cards are plugged into nothing, and programs of the host cannot connect to it.
    ///
    /// # Errors
    /// When the guest has ended, the rule set refuses because of a pinned page, or the host has no
    /// room. This guest goes on in any case.
    pub fn fork(&self, own: impl Into<ChildConfig>) -> Result<(Self, Cut), GuestError> {
        let (space, saved, cut) =
            self.cut(LiveSpace::fork, ParkedDisk::plan_fork, PlannedFork::commit)?;
        let child = Self::resume(&self.realm, space, own.into(), saved)?;
        Ok((child, cut))
    }

    /// A snapshot of this guest, which goes on at once.
    ///
    /// # Errors
    /// As [`fork`](Self::fork).
    pub fn snapshot(&self) -> Result<(Snapshot, Cut), GuestError> {
        let (image, saved, cut) =
            self.cut(LiveSpace::snapshot, ParkedDisk::plan_snapshot, PlannedSnapshot::commit)?;
        Ok((Snapshot::new(Arc::clone(&self.realm), image, saved), cut))
    }

    /// Shares the memory and the disks and copies the rest, while nobody writes. Transfers go on. The
    /// memory is shared when nothing else can fail any more.
    fn cut<'a, T, P, D>(
        &'a self,
        share: impl FnOnce(&LiveSpace) -> Result<T, SpaceError>,
        plan: impl Fn(&ParkedDisk<'a>) -> Result<P, DiskError>,
        commit: impl Fn(P) -> D,
    ) -> Result<(T, Saved<D>, Cut), GuestError> {
        self.stop_prefault();
        self.space.get_ready();
        let begun = Instant::now();
        let paused = self.machine.pause()?;
        // Before the disks, whose pins one of these may be waiting for under rule set `wait`.
        let others = self.peripherals.park();
        let mut parked = self.disks.iter().map(GuestDisk::park).collect::<Result<Vec<_>, _>>()?;
        let transfers_in_flight = parked.iter_mut().map(ParkedDisk::in_flight).sum();
        let requests_in_flight = parked.iter().map(ParkedDisk::requests_in_flight).sum();
        let machine = paused.save()?;
        let peripherals = others.save();
        let disk = |disk: &ParkedDisk<'a>| Ok((disk.save(), plan(disk)?));
        let planned = parked.iter().map(disk).collect::<Result<Vec<_>, GuestDiskError>>()?;
        let shared = share(&self.space)?;
        let disks = planned.into_iter().map(|(state, planned)| (state, commit(planned))).collect();
        let parked_at = paused.parked_at().to_vec();
        drop((parked, others));
        drop(paused);
        let pause = begun.elapsed();
        let cut = Cut { pause, parked_at, transfers_in_flight, requests_in_flight };
        Ok((shared, Saved { machine, disks, peripherals }, cut))
    }

    /// Ends what is prefaulted beside this guest: nothing of it goes on afterwards. Forks and snapshots do so.
    pub fn stop_prefault(&self) {
        if let Some(prefault) = &self.prefault {
            prefault.stop();
        }
    }

    /// Whether pages of this guest are being prefaulted beside it.
    #[must_use]
    pub fn is_prefaulted(&self) -> bool {
        self.prefault.as_ref().is_some_and(|prefault| !prefault.is_over())
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

    /// What its disks have in flight now, disk by disk.
    #[must_use]
    pub fn disks_in_flight(&self) -> Vec<InFlight> {
        self.disks.iter().map(GuestDisk::in_flight).collect()
    }

    /// Where the sectors of its disks are, disk by disk.
    pub fn disks(&self) -> impl Iterator<Item = &Disk> {
        self.disks.iter().map(GuestDisk::disk)
    }

    /// What its network cards did so far, card by card.
    #[must_use]
    pub fn net_counts(&self) -> Vec<NetCounts> {
        self.peripherals.net_counts()
    }

    /// What its source of random bytes did so far, if it has one.
    #[must_use]
    pub fn rng_counts(&self) -> Option<RngCounts> {
        self.peripherals.rng_counts()
    }

    /// Connects a program of the host to the guest, whether it has a socket or not: the other end of
    /// `stream` is as one that has connected to the Unix socket of its vsock device, and says `CONNECT PORT`
    /// in a line first.
    ///
    /// # Errors
    /// [`PeripheralError::NoSockets`], and [`PeripheralError::Adopt`] where there are too many.
    pub fn adopt(&self, stream: UnixStream) -> Result<(), PeripheralError> {
        self.peripherals.adopt(stream)
    }

    /// Sets how much memory its balloon is to hold, in bytes. The guest gives that up when it gets to it,
    /// or as much of it as it can. What [`Guest::balloon`] says then.
    ///
    /// # Errors
    /// [`PeripheralError::NoBalloon`], and [`PeripheralError::BalloonSize`] for one that is not smaller
    /// than the guest's memory.
    pub fn set_balloon(&self, bytes: u64) -> Result<(Size, BalloonCounts), PeripheralError> {
        let ram_bytes = self.machine.ram().len_bytes() as u64;
        let pages = u32::try_from(bytes / PAGE_SIZE as u64).ok();
        let fits = bytes < ram_bytes && bytes.is_multiple_of(PAGE_SIZE as u64);
        let refused = PeripheralError::BalloonSize { bytes, ram_bytes };
        self.peripherals.set_balloon(pages.filter(|_| fits).ok_or(refused)?)
    }

    /// How large its balloon is, and what that did so far, if it has one.
    #[must_use]
    pub fn balloon(&self) -> Option<(Size, BalloonCounts)> {
        self.peripherals.balloon()
    }

    /// What its sockets to the host did so far, if it has any.
    #[must_use]
    pub fn vsock_counts(&self) -> Option<VsockCounts> {
        self.peripherals.vsock_counts()
    }

    /// Plugs network card number `card`, from 0, into `link`, or into nothing, and tells its driver.
    ///
    /// # Errors
    /// [`PeripheralError::NoCard`] when the guest has no such card.
    pub fn connect(&self, card: usize, link: Option<Link>) -> Result<(), PeripheralError> {
        self.peripherals.connect(card, link)
    }

    /// The machine: its vCPUs, mailboxes and devices.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The memory.
    #[must_use]
    pub fn space(&self) -> &Arc<LiveSpace> {
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
