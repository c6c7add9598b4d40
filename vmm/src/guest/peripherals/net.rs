//! A virtio-net card of a guest.

use std::sync::Arc;

use parking_lot::MutexGuard;
use pincow_mmu::host::WindowMemory;
use pincow_mmu::live::LiveSpace;

use super::{NetConfig, PeripheralError};
use crate::devices::Line;
use crate::guest::config::ChildNet;
use crate::virtio::net::{Link, Net, NetCounts, NetState, NetWorker};
use crate::virtio::{Device as _, Mmio, MmioState, Reactor, Signals};

pub(super) struct GuestNet {
    // The thread ends first.
    _reactor: Reactor,
    device: Arc<Net<WindowMemory>>,
    pub(super) registers: Arc<Mmio>,
    line: Option<Line>,
}

/// A card at a cut.
#[derive(Clone)]
pub(super) struct SavedNet {
    registers: MmioState,
    worker: NetState,
}

/// The card is stopped between two frames while this lives.
pub(super) struct ParkedNet<'a> {
    net: &'a GuestNet,
    worker: MutexGuard<'a, NetWorker<WindowMemory>>,
}

impl GuestNet {
    pub(super) fn new(
        config: NetConfig,
        space: &Arc<LiveSpace>,
        line: Option<Line>,
    ) -> Result<Self, PeripheralError> {
        let NetConfig { link, mac } = config;
        let signals = Arc::new(Signals::new(Box::new(line.clone())));
        let worker = NetWorker::new(space.window().guest_memory(), link, mac, signals);
        let device = Arc::new(Net::new(worker)?);
        let registers = Arc::new(Mmio::new(device.clone()));
        let reactor = Reactor::start("net", Arc::clone(&device))?;
        Ok(Self { _reactor: reactor, device, registers, line })
    }

    /// The card that `saved` describes. What it has told its driver and the driver has not
    /// acknowledged is raised again, since interrupts do not survive a copy.
    pub(super) fn restore(
        saved: &SavedNet,
        own: ChildNet,
        space: &Arc<LiveSpace>,
        line: Option<Line>,
    ) -> Result<Self, PeripheralError> {
        let SavedNet { registers, worker } = saved;
        let ChildNet { link, mac } = own;
        let (memory, mac) = (space.window().guest_memory(), mac.unwrap_or(worker.mac));
        let signals = Arc::new(Signals::restore(registers.signals, Box::new(line.clone())));
        let worker = NetWorker::restore(memory, link, mac, signals, worker)?;
        let device = Arc::new(Net::new(worker)?);
        let registers = Arc::new(Mmio::restore(registers, device.clone())?);
        device.signals().raise_again();
        let reactor = Reactor::start("net", Arc::clone(&device))?;
        Ok(Self { _reactor: reactor, device, registers, line })
    }

    /// What the guest reaches it through.
    pub(super) fn socket(&self) -> (&Arc<Mmio>, &Option<Line>) {
        (&self.registers, &self.line)
    }

    pub(super) fn park(&self) -> ParkedNet<'_> {
        ParkedNet { net: self, worker: self.device.park() }
    }

    pub(super) fn connect(&self, link: Option<Link>) {
        self.device.connect(link);
    }

    pub(super) fn counts(&self) -> NetCounts {
        self.device.park().counts()
    }
}

impl ParkedNet<'_> {
    pub(super) fn save(&self) -> SavedNet {
        SavedNet { registers: self.net.registers.save(), worker: self.worker.save() }
    }
}
