//! A guest's memory as a machine needs it.

#![expect(unsafe_code, reason = "KVM is given the address of guest memory")]

use std::any::Any;
use std::sync::Arc;

use pincow_mmu::host::{self, WindowMemory};
use pincow_mmu::live::LiveSpace;
use thiserror::Error;
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use crate::kvm::{KvmError, Vm};

/// RAM of one guest: one range of host memory, seen by the guest from address 0 on. A machine holds
/// it until its last vCPU has stopped.
#[derive(Clone)]
pub struct GuestRam {
    memory: WindowMemory,
    /// What answers the faults in `memory`.
    _owner: Option<Arc<dyn Any + Send + Sync>>,
}

/// RAM that was not to be had.
#[derive(Debug, Error)]
#[error("mapping {len_bytes:#x} bytes of guest RAM: {source}: give the guest less memory")]
pub struct RamError {
    /// The length asked for.
    pub len_bytes: usize,
    /// What went wrong.
    pub source: std::io::Error,
}

impl GuestRam {
    /// The window of an address space, whose faults are answered already.
    #[must_use]
    pub fn of_space(space: &Arc<LiveSpace>) -> Self {
        let owner: Arc<dyn Any + Send + Sync> = space.clone();
        Self { memory: space.window().guest_memory(), _owner: Some(owner) }
    }

    /// Memory that is shared with nobody, zero at first: `len_bytes` bytes, a multiple of the page
    /// size. Nothing is allocated before it is used.
    ///
    /// # Errors
    /// [`RamError`] when the kernel refuses.
    pub fn anonymous(len_bytes: usize) -> Result<Self, RamError> {
        let memory = host::anonymous(len_bytes).map_err(|source| RamError { len_bytes, source })?;
        Ok(Self { memory, _owner: None })
    }

    /// The monitor's own access to it. It faults like a guest's.
    #[must_use]
    pub fn memory(&self) -> &WindowMemory {
        &self.memory
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.memory.iter().map(|region| region.len() as usize).sum()
    }

    /// Where the range begins in this process.
    #[must_use]
    pub fn host_address(&self) -> u64 {
        // RAM has one region, and it begins at 0.
        self.memory.get_host_address(GuestAddress(0)).map_or(0, |address| address as u64)
    }
}

/// Shows all of `ram` to the guest, from address 0 on, as slot 0.
pub(super) fn map(vm: &Vm, ram: &GuestRam) -> Result<(), KvmError> {
    // SAFETY: the machine keeps `ram`, whose region keeps the addresses, until its last vCPU has
    // stopped; no Rust reference into guest memory is ever made.
    unsafe { vm.map_ram(0, 0, ram.host_address(), ram.len_bytes() as u64) }
}
