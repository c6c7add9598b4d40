//! The disks of a guest: virtio-blk over disks that fork, in the same cut as its memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;
use pincow_mmu::host::WindowMemory;
use pincow_mmu::live::LiveSpace;
use thiserror::Error;

use super::wiring::place;
use crate::devices::Line;
use crate::disk::{Disk, DiskError, PlannedFork, PlannedSnapshot};
use crate::io::{Engine, Uring, UringError};
use crate::machine::BusDevice;
use crate::virtio::blk::{
    Blk, BlkConfig, BlkCounts, BlkOptions, BlkState, BlkWorker, DrainError, OptionsError, Policy,
    Ports, RestoreError,
};
use crate::virtio::{Device as _, Mmio, MmioError, MmioState, Reactor, ReactorError, Signals};

mod pinner;
mod port;
#[cfg(test)]
mod tests;

use pinner::MemoryPinner;
use port::ForkingDisk;

pub use pinner::PinMode;
#[cfg(test)]
pub(crate) use pinner::pinned;

type Engines = Box<dyn Engine>;
type Worker = BlkWorker<WindowMemory, MemoryPinner, ForkingDisk, Engines>;
type Device = Blk<WindowMemory, MemoryPinner, ForkingDisk, Engines>;

/// How long a cut waits for requests in flight, where the policy is to wait.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// A disk that was not given to a guest.
#[derive(Debug, Error)]
pub enum GuestDiskError {
    /// The options do not fit.
    #[error("the disk cannot be offered to a guest: {0}")]
    Options(#[from] OptionsError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// There is no io_uring.
    #[error("transfers of a disk need io_uring: {0}")]
    Uring(#[from] UringError),
    /// An event counter or thread was not to be had.
    #[error("a disk's event counter: {0}")]
    Event(#[from] std::io::Error),
    /// The disk has no thread.
    #[error(transparent)]
    Reactor(#[from] ReactorError),
    /// The saved queues or requests do not fit.
    #[error("the saved disk cannot be restored: {0}")]
    Restore(#[from] RestoreError),
    /// The saved registers do not fit.
    #[error(transparent)]
    Registers(#[from] MmioError),
    /// Requests in flight did not end in time.
    #[error(transparent)]
    Drain(#[from] DrainError),
}

/// Makes the engine of a disk, with room for so many transfers.
pub type MakeEngine = Arc<dyn Fn(u32) -> Result<Box<dyn Engine>, UringError> + Send + Sync>;

/// The engine of every disk that is not under test: io_uring.
#[must_use]
pub fn uring() -> MakeEngine {
    Arc::new(|entries| Ok(Box::new(Uring::new(entries)?)))
}

/// A disk for a guest that is booted.
pub struct DiskConfig {
    /// The disk.
    pub disk: Disk,
    /// Its files were opened with `O_DIRECT`.
    pub direct: bool,
    /// How the guest sees it. The capacity is taken from the disk.
    pub options: BlkOptions,
    /// What moves its bytes, and those of its copies.
    pub engine: MakeEngine,
    /// How its transfers hold guest memory.
    pub pins: PinMode,
}

/// What a disk has in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    /// Transfers that the kernel has and has not finished.
    pub transfers: usize,
    /// Requests that were taken and not answered.
    pub requests: usize,
}

/// A virtio-blk device of a guest.
pub(super) struct GuestDisk {
    // The thread ends first, then the device with its engine, which waits for the kernel.
    _reactor: Reactor,
    device: Arc<Device>,
    registers: Arc<Mmio>,
    disk: Arc<Disk>,
    direct: bool,
    policy: Policy,
    engine: MakeEngine,
    pins: PinMode,
    line: Option<Line>,
}

/// A disk at a cut, without the bytes.
#[derive(Clone)]
pub(super) struct SavedDisk {
    registers: MmioState,
    worker: BlkState,
    options: BlkOptions,
    direct: bool,
    policy: Policy,
    engine: MakeEngine,
    pins: PinMode,
}

/// The device is stopped between two completions while this lives.
pub(super) struct ParkedDisk<'a> {
    disk: &'a GuestDisk,
    worker: MutexGuard<'a, Worker>,
}

/// The worker's ports, with an engine that has room for every request of every queue.
fn ports(
    space: &Arc<LiveSpace>,
    disk: &Arc<Disk>,
    direct: bool,
    options: &BlkOptions,
    (engine, pins): (&MakeEngine, PinMode),
) -> Result<Ports<WindowMemory, MemoryPinner, ForkingDisk, Engines>, GuestDiskError> {
    let entries = u32::from(options.queue_size) * u32::from(options.queues);
    Ok(Ports {
        memory: space.window().guest_memory(),
        pinner: MemoryPinner::new(Arc::clone(space), pins),
        disk: ForkingDisk::new(Arc::clone(disk), direct),
        engine: engine(entries)?,
    })
}

impl GuestDisk {
    /// A disk whose driver is not ready yet. Without `line`, the driver polls.
    pub(super) fn new(
        config: DiskConfig,
        space: &Arc<LiveSpace>,
        policy: Policy,
        line: Option<Line>,
    ) -> Result<Self, GuestDiskError> {
        let DiskConfig { disk, direct, options, engine, pins } = config;
        let capacity = disk.size_bytes() / crate::disk::SECTOR_BYTES;
        let read_only = options.read_only || disk.is_read_only();
        let options = BlkOptions { capacity, read_only, ..options };
        let disk = Arc::new(disk);
        let ports = ports(space, &disk, direct, &options, (&engine, pins))?;
        let signals = Arc::new(Signals::new(Box::new(line.clone())));
        let worker = BlkWorker::new(ports, BlkConfig::try_from(options)?, Arc::clone(&signals));
        let device = Arc::new(Blk::new(worker, signals)?);
        let registers = Arc::new(Mmio::new(device.clone()));
        let reactor = Reactor::start("disk", Arc::clone(&device))?;
        Ok(Self { _reactor: reactor, device, registers, disk, direct, policy, engine, pins, line })
    }

    /// The disk that `saved` describes, with bytes and memory of its own. What it has told its driver
    /// and the driver has not acknowledged is raised again, since interrupts do not survive a copy.
    pub(super) fn restore(
        saved: &SavedDisk,
        disk: Disk,
        space: &Arc<LiveSpace>,
        line: Option<Line>,
    ) -> Result<Self, GuestDiskError> {
        let SavedDisk { registers, worker, options, direct, policy, engine, pins } = saved;
        let disk = Arc::new(disk);
        let ports = ports(space, &disk, *direct, options, (engine, *pins))?;
        let config = BlkConfig::try_from(options.clone())?;
        let signals = Arc::new(Signals::restore(registers.signals, Box::new(line.clone())));
        let worker = BlkWorker::restore(ports, config, Arc::clone(&signals), worker, *policy)?;
        let device = Arc::new(Blk::new(worker, signals)?);
        let registers = Arc::new(Mmio::restore(registers, device.clone())?);
        device.signals().raise_again();
        let reactor = Reactor::start("disk", Arc::clone(&device))?;
        let (direct, policy, engine, pins) = (*direct, *policy, Arc::clone(engine), *pins);
        Ok(Self { _reactor: reactor, device, registers, disk, direct, policy, engine, pins, line })
    }

    /// What the machine's bus gets for disk number `index`.
    pub(super) fn on_bus(&self, index: usize) -> BusDevice {
        place(index, &self.registers, &self.line)
    }

    /// Stops the device between two completions. Never waits for the disk, unless the policy is to.
    pub(super) fn park(&self) -> Result<ParkedDisk<'_>, GuestDiskError> {
        if self.policy == Policy::Drain {
            return self.drained(Instant::now() + DRAIN_TIME);
        }
        Ok(ParkedDisk { disk: self, worker: self.device.park() })
    }

    /// Stops the device with no request in flight.
    pub(super) fn drained(&self, deadline: Instant) -> Result<ParkedDisk<'_>, GuestDiskError> {
        let mut worker = self.device.park();
        worker.drain(deadline)?;
        Ok(ParkedDisk { disk: self, worker })
    }

    /// Changes how its transfers hold memory from now on; those under way keep what they have.
    pub(super) fn set_pins(&self, pins: PinMode) {
        self.device.park().ports().pinner.set_mode(pins);
    }

    /// Where its sectors are.
    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// What it has in flight now.
    pub(super) fn in_flight(&self) -> InFlight {
        let mut worker = self.device.park();
        let transfers = worker.ports().engine.in_flight();
        InFlight { transfers, requests: worker.requests_in_flight() }
    }

    /// What its driver and its transfers did so far.
    pub(super) fn counts(&self) -> BlkCounts {
        self.device.park().counts()
    }
}

impl<'p> ParkedDisk<'p> {
    /// Transfers that the kernel has and has not finished.
    pub(super) fn in_flight(&mut self) -> usize {
        self.worker.ports().engine.in_flight()
    }

    /// Requests that were taken and not answered.
    pub(super) fn requests_in_flight(&self) -> usize {
        self.worker.requests_in_flight()
    }

    pub(super) fn save(&self) -> SavedDisk {
        SavedDisk {
            registers: self.disk.registers.save(),
            worker: self.worker.save(),
            options: self.worker.config().options().clone(),
            direct: self.disk.direct,
            policy: self.disk.policy,
            engine: Arc::clone(&self.disk.engine),
            pins: self.disk.pins,
        }
    }

    /// The disk for a child: what was complete at this moment.
    pub(super) fn plan_fork(&self) -> Result<PlannedFork<'p>, DiskError> {
        self.disk.disk.plan_fork()
    }

    /// The disk for a snapshot.
    pub(super) fn plan_snapshot(&self) -> Result<PlannedSnapshot<'p>, DiskError> {
        self.disk.disk.plan_snapshot()
    }
}
