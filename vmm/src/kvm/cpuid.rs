//! The CPUID that guests get.

use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES};
use kvm_ioctls::Kvm;

use super::error::KvmError;

/// KVM's own feature leaf (KVM CPUID documentation).
const KVM_FEATURES_LEAF: u32 = 0x4000_0001;

/// KVM_FEATURE_ASYNC_PF, _ASYNC_PF_VMEXIT and _ASYNC_PF_INT in EAX of that leaf.
///
/// An asynchronous page fault is a promise of KVM to wake a guest task later. A copy of the guest
/// has no such promise from its own KVM and would sleep for ever, so guests are not offered them.
const ASYNC_PAGE_FAULTS: u32 = 1 << 4 | 1 << 10 | 1 << 14;

/// What KVM supports, without asynchronous page faults.
pub(super) fn supported(kvm: &Kvm) -> Result<CpuId, KvmError> {
    let mut cpuid = kvm
        .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
        .map_err(KvmError::of("KVM_GET_SUPPORTED_CPUID"))?;
    for entry in cpuid.as_mut_slice() {
        if entry.function == KVM_FEATURES_LEAF {
            entry.eax &= !ASYNC_PAGE_FAULTS;
        }
    }
    Ok(cpuid)
}

/// The same, with the APIC number of one vCPU (Intel SDM volume 2, CPUID, leaves 1, 0xb, 0x1f).
pub(super) fn for_vcpu(common: &CpuId, index: u32) -> CpuId {
    let mut cpuid = common.clone();
    for entry in cpuid.as_mut_slice() {
        match entry.function {
            0x1 => entry.ebx = (entry.ebx & 0x00ff_ffff) | (index & 0xff) << 24,
            0xb | 0x1f => entry.edx = index,
            _ => {}
        }
    }
    cpuid
}
