//! The virtio-balloon device of a guest, and what takes memory back for it.

use std::sync::Arc;

use parking_lot::MutexGuard;
use pincow_mmu::gfn::{Gfn, Run};
use pincow_mmu::host::WindowMemory;
use pincow_mmu::live::LiveSpace;

use super::PeripheralError;
use crate::devices::Line;
use crate::virtio::balloon::{Balloon, BalloonCounts, BalloonState, BalloonWorker, Reclaim, Size};
use crate::virtio::{Device as _, Mmio, MmioState, Reactor, Signals};

/// Pages of an address space go back to the host by its rules.
struct OfSpace(Arc<LiveSpace>);

impl Reclaim for OfSpace {
    fn reclaim(&mut self, first: u32, pages: u32) -> u32 {
        // What the host refuses (no room for further mappings) stays as it is, as what is pinned does.
        self.0.discard_run(Run { first: Gfn(first), pages }).map_or(0, |discarded| discarded.pages)
    }
}

pub(super) struct GuestBalloon {
    // The thread ends first.
    _reactor: Reactor,
    device: Arc<Balloon<WindowMemory, OfSpace>>,
    pub(super) registers: Arc<Mmio>,
    line: Option<Line>,
}

/// The device at a cut.
#[derive(Clone)]
pub(super) struct SavedBalloon {
    registers: MmioState,
    worker: BalloonState,
}

/// The device is stopped between two pieces of a request while this lives.
pub(super) struct ParkedBalloon<'a> {
    balloon: &'a GuestBalloon,
    worker: MutexGuard<'a, BalloonWorker<WindowMemory, OfSpace>>,
}

impl GuestBalloon {
    pub(super) fn new(space: &Arc<LiveSpace>, line: Option<Line>) -> Result<Self, PeripheralError> {
        let signals = Arc::new(Signals::new(Box::new(line.clone())));
        let memory = space.window().guest_memory();
        let worker = BalloonWorker::new(memory, OfSpace(Arc::clone(space)), Arc::clone(&signals));
        let device = Arc::new(Balloon::new(worker, signals)?);
        let registers = Arc::new(Mmio::new(device.clone()));
        let reactor = Reactor::start("balloon", Arc::clone(&device))?;
        Ok(Self { _reactor: reactor, device, registers, line })
    }

    /// The device that `saved` describes. What it has told its driver and the driver has not
    /// acknowledged is raised again, since interrupts do not survive a copy.
    pub(super) fn restore(
        saved: &SavedBalloon,
        space: &Arc<LiveSpace>,
        line: Option<Line>,
    ) -> Result<Self, PeripheralError> {
        let SavedBalloon { registers, worker } = saved;
        let signals = Arc::new(Signals::restore(registers.signals, Box::new(line.clone())));
        let memory = space.window().guest_memory();
        let reclaim = OfSpace(Arc::clone(space));
        let worker = BalloonWorker::restore(memory, reclaim, Arc::clone(&signals), worker)
            .map_err(PeripheralError::Balloon)?;
        let device = Arc::new(Balloon::new(worker, signals)?);
        let registers = Arc::new(Mmio::restore(registers, device.clone())?);
        device.signals().raise_again();
        let reactor = Reactor::start("balloon", Arc::clone(&device))?;
        Ok(Self { _reactor: reactor, device, registers, line })
    }

    /// What the guest reaches it through.
    pub(super) fn socket(&self) -> (&Arc<Mmio>, &Option<Line>) {
        (&self.registers, &self.line)
    }

    pub(super) fn park(&self) -> ParkedBalloon<'_> {
        ParkedBalloon { balloon: self, worker: self.device.park() }
    }

    pub(super) fn set_target(&self, pages: u32) {
        self.device.park().set_target(pages);
    }

    pub(super) fn size_and_counts(&self) -> (Size, BalloonCounts) {
        let worker = self.device.park();
        (worker.size(), worker.counts())
    }
}

impl ParkedBalloon<'_> {
    pub(super) fn save(&self) -> SavedBalloon {
        SavedBalloon { registers: self.balloon.registers.save(), worker: self.worker.save() }
    }
}
