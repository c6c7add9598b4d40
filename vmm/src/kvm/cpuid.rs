//! The CPUID that guests get.

use kvm_bindings::{
    CpuId, KVM_CPUID_FLAG_SIGNIFCANT_INDEX, KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2,
};
use kvm_ioctls::Kvm;

use super::error::KvmError;

#[cfg(test)]
mod tests;
mod topology;

/// KVM's own feature leaf (KVM CPUID documentation).
const KVM_FEATURES_LEAF: u32 = 0x4000_0001;

/// KVM_FEATURE_ASYNC_PF, _ASYNC_PF_VMEXIT and _ASYNC_PF_INT in EAX of that leaf.
///
/// An asynchronous page fault is a promise of KVM to wake a guest task later. A copy of the guest
/// has no such promise from its own KVM and would sleep for ever, so guests are not offered them.
const ASYNC_PAGE_FAULTS: u32 = 1 << 4 | 1 << 10 | 1 << 14;

/// KVM_FEATURE_PV_UNHALT in EAX of that leaf.
///
/// A guest that waits for a lock halts, and whoever gives the lock free kicks it by a hypercall. KVM
/// remembers a kick that comes before the halt, in a bit that nothing reads out (`pv_unhalted`): a copy
/// that was made in between would halt with interrupts off, for ever. Without it, guests spin.
const PV_UNHALT: u32 = 1 << 7;

/// VMX in ECX of leaf 1 and SVM in ECX of leaf 0x8000_0001: what a guest's own guests are is not
/// part of the state that is saved.
const VMX: u32 = 1 << 5;
const SVM: u32 = 1 << 2;

/// In ECX of leaf 1: a hypervisor is there, so that guests look for its leaves. KVM leaves it to the
/// monitor whether to say so.
const HYPERVISOR: u32 = 1 << 31;

/// In ECX of leaf 1: the local APIC's timer has a deadline mode. KVM never lists it here, but as
/// KVM_CAP_TSC_DEADLINE_TIMER, because it depends on KVM's own local APIC (KVM API documentation,
/// 4.42).
const TSC_DEADLINE: u32 = 1 << 24;

/// What KVM supports, without what cannot be saved.
pub(super) fn supported(kvm: &Kvm) -> Result<CpuId, KvmError> {
    let mut cpuid = kvm
        .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
        .map_err(KvmError::of("KVM_GET_SUPPORTED_CPUID"))?;
    offer(cpuid.as_mut_slice());
    Ok(cpuid)
}

/// Takes away what cannot be saved, and says that a hypervisor is there.
fn offer(entries: &mut [kvm_cpuid_entry2]) {
    for entry in entries {
        match entry.function {
            0x1 => entry.ecx = entry.ecx & !VMX | HYPERVISOR,
            0x8000_0001 => entry.ecx &= !SVM,
            KVM_FEATURES_LEAF => entry.eax &= !(ASYNC_PAGE_FAULTS | PV_UNHALT),
            _ => {}
        }
    }
}

/// What the vCPUs of one guest have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vcpus {
    /// How many there are.
    pub count: u32,
    /// Whether KVM provides their local APICs, with a timer that has a deadline mode.
    pub tsc_deadline: bool,
}

impl Vcpus {
    /// One vCPU without a local APIC.
    pub const ONE: Vcpus = Vcpus { count: 1, tsc_deadline: false };
}

/// The same, for vCPU `index` of a guest.
pub(super) fn for_vcpu(common: &CpuId, index: u32, vcpus: Vcpus) -> Result<CpuId, KvmError> {
    let mut entries: Vec<kvm_cpuid_entry2> = common.as_slice().to_vec();
    for entry in entries.iter_mut().filter(|entry| entry.function == 0x1) {
        if vcpus.tsc_deadline {
            entry.ecx |= TSC_DEADLINE;
        }
    }
    topology::apply(&mut entries, index, vcpus.count);
    CpuId::from_entries(&entries).map_err(|_| KvmError {
        call: "KVM_SET_CPUID2",
        errno: vmm_sys_util::errno::Error::new(libc::E2BIG),
    })
}
