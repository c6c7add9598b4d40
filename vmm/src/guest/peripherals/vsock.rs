//! The virtio-vsock device of a guest.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use parking_lot::MutexGuard;
use pincow_mmu::host::WindowMemory;
use pincow_mmu::live::LiveSpace;

use super::{PeripheralError, VsockConfig};
use crate::devices::Line;
use crate::guest::config::ChildVsock;
use crate::virtio::vsock::{Vsock, VsockCounts, VsockState, VsockWorker};
use crate::virtio::{Device as _, Mmio, MmioState, Reactor, Signals};

pub(super) struct GuestVsock {
    // The thread ends first.
    _reactor: Reactor,
    device: Arc<Vsock<WindowMemory>>,
    pub(super) registers: Arc<Mmio>,
    line: Option<Line>,
}

/// The device at a cut.
#[derive(Clone)]
pub(super) struct SavedVsock {
    registers: MmioState,
    worker: VsockState,
}

/// The device is stopped between two packets while this lives.
pub(super) struct ParkedVsock<'a> {
    vsock: &'a GuestVsock,
    worker: MutexGuard<'a, VsockWorker<WindowMemory>>,
}

impl GuestVsock {
    pub(super) fn new(
        config: VsockConfig,
        space: &Arc<LiveSpace>,
        line: Option<Line>,
    ) -> Result<Self, PeripheralError> {
        let VsockConfig { cid, socket } = config;
        let signals = Arc::new(Signals::new(Box::new(line.clone())));
        let worker = VsockWorker::new(space.window().guest_memory(), cid, socket, signals)?;
        let device = Arc::new(Vsock::new(worker)?);
        let registers = Arc::new(Mmio::new(device.clone()));
        let reactor = Reactor::start("vsock", Arc::clone(&device))?;
        Ok(Self { _reactor: reactor, device, registers, line })
    }

    /// The device that `saved` describes. What it has told its driver and the driver has not
    /// acknowledged is raised again, since interrupts do not survive a copy.
    pub(super) fn restore(
        saved: &SavedVsock,
        own: ChildVsock,
        space: &Arc<LiveSpace>,
        line: Option<Line>,
    ) -> Result<Self, PeripheralError> {
        let SavedVsock { registers, worker } = saved;
        let ChildVsock { cid, socket } = own;
        let (memory, cid) = (space.window().guest_memory(), cid.unwrap_or(worker.cid));
        let signals = Arc::new(Signals::restore(registers.signals, Box::new(line.clone())));
        let worker = VsockWorker::restore(memory, cid, socket, signals, worker)?;
        let device = Arc::new(Vsock::new(worker)?);
        let registers = Arc::new(Mmio::restore(registers, device.clone())?);
        device.signals().raise_again();
        let reactor = Reactor::start("vsock", Arc::clone(&device))?;
        Ok(Self { _reactor: reactor, device, registers, line })
    }

    /// What the guest reaches it through.
    pub(super) fn socket(&self) -> (&Arc<Mmio>, &Option<Line>) {
        (&self.registers, &self.line)
    }

    pub(super) fn park(&self) -> ParkedVsock<'_> {
        ParkedVsock { vsock: self, worker: self.device.park() }
    }

    pub(super) fn adopt(&self, stream: UnixStream) -> io::Result<()> {
        self.device.adopt(stream)
    }

    pub(super) fn counts(&self) -> VsockCounts {
        self.device.park().counts()
    }
}

impl ParkedVsock<'_> {
    pub(super) fn save(&self) -> SavedVsock {
        SavedVsock { registers: self.vsock.registers.save(), worker: self.worker.save() }
    }
}
