//! The host's mappings that a guest takes beside those of its memory.
//!
//! A process may have so many mappings and no more (`vm.max_map_count`), and windows keep to a budget of
//! them, so that a write fault never fails for want of one. What a thousand machines take has to come from
//! the same budget, or it would be missing when a window wants what it was promised.

use std::sync::Arc;

use pincow_mmu::host::HostMemory;
use pincow_mmu::{Backing, Family, SpaceError};

/// Of a thread: its stack and its signal stack, each with a guard page.
const OF_A_THREAD: usize = 4;

/// Of a vCPU: a thread, and what it shares with KVM (`struct kvm_run`).
const OF_A_VCPU: usize = OF_A_THREAD + 1;

/// Of a device: a thread, and two rings of its transfers.
const OF_A_DEVICE: usize = OF_A_THREAD + 2;

/// Of a guest: a layer's own mapping.
const OF_A_GUEST: usize = 1;

/// Mappings that were taken from the budget, until this is dropped.
pub(super) struct Mappings {
    family: Arc<Family<HostMemory>>,
    count: usize,
}

impl Mappings {
    /// Takes what a guest with so many vCPUs and devices needs.
    pub(super) fn take(
        family: &Arc<Family<HostMemory>>,
        vcpus: usize,
        devices: usize,
    ) -> Result<Self, SpaceError> {
        let count = OF_A_GUEST + vcpus * OF_A_VCPU + devices * OF_A_DEVICE;
        match family.backing().reserve_mappings(count) {
            true => Ok(Self { family: Arc::clone(family), count }),
            false => {
                let free = family.backing().free_mappings();
                Err(SpaceError::NoMappings { needed: count, free })
            }
        }
    }
}

impl Drop for Mappings {
    fn drop(&mut self) {
        self.family.backing().return_mappings(self.count);
    }
}

#[cfg(test)]
mod tests;
