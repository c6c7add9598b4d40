//! Which MSRs are a vCPU's state, found once per host, and moving them in batches.
//!
//! KVM lists the MSRs that it saves (KVM_GET_MSR_INDEX_LIST), but some of them are refused without
//! an in-kernel interrupt controller, and a batch ends at the first refusal. So each one is read
//! and written back once on a scratch vCPU; what survives is set in batches for ever after.
//!
//! Measured: the development kernel lists 41 and refuses one, 0x4b564d06 (the interrupt of
//! asynchronous page faults); a 6.1 kernel with nested paging on AMD lists 97.

use kvm_bindings::{CpuId, KVM_MAX_MSR_ENTRIES, Msrs, kvm_msr_entry};
use kvm_ioctls::{Kvm, VcpuFd};

use super::error::{KvmError, RestoreError};
use super::state::MsrValue;
use super::vm;

/// The MSRs that are saved, sorted by index.
#[derive(Debug)]
pub(super) struct MsrSet {
    saved: Vec<u32>,
    refused: Vec<u32>,
}

impl MsrSet {
    /// Asks a scratch vCPU which of the listed MSRs it gives and takes back.
    /// With `lapic`, the vCPU has a local APIC in the kernel.
    pub(super) fn probe(kvm: &Kvm, cpuid: &CpuId, lapic: bool) -> Result<MsrSet, KvmError> {
        let list = kvm.get_msr_index_list().map_err(KvmError::of("KVM_GET_MSR_INDEX_LIST"))?;
        let vm = vm::create(kvm)?;
        if lapic {
            vm.create_irq_chip().map_err(KvmError::of("KVM_CREATE_IRQCHIP"))?;
        }
        let vcpu = vm.create_vcpu(0).map_err(KvmError::of("KVM_CREATE_VCPU"))?;
        vcpu.set_cpuid2(cpuid).map_err(KvmError::of("KVM_SET_CPUID2"))?;
        let (mut saved, mut refused): (Vec<u32>, Vec<u32>) =
            list.as_slice().iter().partition(|&&index| round_trips(&vcpu, index));
        saved.sort_unstable();
        saved.dedup();
        refused.sort_unstable();
        Ok(MsrSet { saved, refused })
    }

    pub(super) fn saved(&self) -> &[u32] {
        &self.saved
    }

    pub(super) fn refused(&self) -> &[u32] {
        &self.refused
    }

    /// Reads all saved MSRs.
    pub(super) fn get(&self, vcpu: &VcpuFd) -> Result<Vec<MsrValue>, KvmError> {
        let call = "KVM_GET_MSRS";
        let mut values = Vec::with_capacity(self.saved.len());
        for chunk in self.saved.chunks(KVM_MAX_MSR_ENTRIES) {
            let wanted = chunk.iter().map(|&index| MsrValue { index, value: 0 });
            let mut batch = batch_of(wanted).ok_or(too_many(call))?;
            let got = vcpu.get_msrs(&mut batch).map_err(KvmError::of(call))?;
            if got != chunk.len() {
                return Err(KvmError { call, errno: vmm_sys_util::errno::Error::new(libc::EIO) });
            }
            let entries = batch.as_slice().iter();
            values.extend(entries.map(|e| MsrValue { index: e.index, value: e.data }));
        }
        Ok(values)
    }

    /// Sets `values`, which are untrusted: anything that is not guest state here is refused.
    pub(super) fn set(&self, vcpu: &VcpuFd, values: &[MsrValue]) -> Result<(), RestoreError> {
        if let Some(msr) = values.iter().find(|m| self.saved.binary_search(&m.index).is_err()) {
            return Err(RestoreError::UnknownMsr { index: msr.index });
        }
        let refused = |source| RestoreError::Refused { part: "MSRs", source };
        for chunk in values.chunks(KVM_MAX_MSR_ENTRIES) {
            let batch =
                batch_of(chunk.iter().copied()).ok_or_else(|| refused(too_many("KVM_SET_MSRS")))?;
            let done =
                vcpu.set_msrs(&batch).map_err(|e| refused(KvmError::of("KVM_SET_MSRS")(e)))?;
            if let Some(&MsrValue { index, value }) = chunk.get(done) {
                return Err(RestoreError::MsrRefused { index, value });
            }
        }
        Ok(())
    }
}

fn batch_of(values: impl Iterator<Item = MsrValue>) -> Option<Msrs> {
    let entries: Vec<_> = values
        .map(|m| kvm_msr_entry { index: m.index, data: m.value, ..Default::default() })
        .collect();
    Msrs::from_entries(&entries).ok()
}

fn too_many(call: &'static str) -> KvmError {
    KvmError { call, errno: vmm_sys_util::errno::Error::new(libc::E2BIG) }
}

fn round_trips(vcpu: &VcpuFd, index: u32) -> bool {
    let Some(mut one) = batch_of(std::iter::once(MsrValue { index, value: 0 })) else {
        return false;
    };
    vcpu.get_msrs(&mut one) == Ok(1) && vcpu.set_msrs(&one) == Ok(1)
}
