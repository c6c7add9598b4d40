//! The virtio-rng device of a guest.

use std::sync::Arc;

use parking_lot::MutexGuard;
use pincow_mmu::host::WindowMemory;
use pincow_mmu::live::LiveSpace;

use super::PeripheralError;
use crate::devices::Line;
use crate::virtio::rng::{HostEntropy, Rng, RngCounts, RngState, RngWorker};
use crate::virtio::{Device as _, Mmio, MmioState, Reactor, Signals};

pub(super) struct GuestRng {
    // The thread ends first.
    _reactor: Reactor,
    device: Arc<Rng<WindowMemory, HostEntropy>>,
    pub(super) registers: Arc<Mmio>,
    line: Option<Line>,
}

/// The device at a cut.
#[derive(Clone)]
pub(super) struct SavedRng {
    registers: MmioState,
    worker: RngState,
}

/// The device is stopped between two requests while this lives.
pub(super) struct ParkedRng<'a> {
    rng: &'a GuestRng,
    worker: MutexGuard<'a, RngWorker<WindowMemory, HostEntropy>>,
}

impl GuestRng {
    pub(super) fn new(space: &Arc<LiveSpace>, line: Option<Line>) -> Result<Self, PeripheralError> {
        let signals = Arc::new(Signals::new(Box::new(line.clone())));
        let memory = space.window().guest_memory();
        let worker = RngWorker::new(memory, HostEntropy, Arc::clone(&signals));
        let device = Arc::new(Rng::new(worker, signals)?);
        let registers = Arc::new(Mmio::new(device.clone()));
        let reactor = Reactor::start("rng", Arc::clone(&device))?;
        Ok(Self { _reactor: reactor, device, registers, line })
    }

    /// The device that `saved` describes. What it has told its driver and the driver has not
    /// acknowledged is raised again, since interrupts do not survive a copy.
    pub(super) fn restore(
        saved: &SavedRng,
        space: &Arc<LiveSpace>,
        line: Option<Line>,
    ) -> Result<Self, PeripheralError> {
        let SavedRng { registers, worker } = saved;
        let signals = Arc::new(Signals::restore(registers.signals, Box::new(line.clone())));
        let memory = space.window().guest_memory();
        let worker = RngWorker::restore(memory, HostEntropy, Arc::clone(&signals), worker)
            .map_err(PeripheralError::Rng)?;
        let device = Arc::new(Rng::new(worker, signals)?);
        let registers = Arc::new(Mmio::restore(registers, device.clone())?);
        device.signals().raise_again();
        let reactor = Reactor::start("rng", Arc::clone(&device))?;
        Ok(Self { _reactor: reactor, device, registers, line })
    }

    /// What the guest reaches it through.
    pub(super) fn socket(&self) -> (&Arc<Mmio>, &Option<Line>) {
        (&self.registers, &self.line)
    }

    pub(super) fn park(&self) -> ParkedRng<'_> {
        ParkedRng { rng: self, worker: self.device.park() }
    }

    pub(super) fn counts(&self) -> RngCounts {
        self.device.park().counts()
    }
}

impl ParkedRng<'_> {
    pub(super) fn save(&self) -> SavedRng {
        SavedRng { registers: self.rng.registers.save(), worker: self.worker.save() }
    }
}
