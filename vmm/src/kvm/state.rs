//! The complete state of a vCPU, as plain data.
//!
//! A [`VcpuState`] is data and nothing else: it can be written to a file, sent, compared. When it
//! is read back it is not trusted; [`VcpuState::restore`] makes it live on a vCPU, or says which
//! part was refused.
//!
//! The order of setting is the one in which no value depends on a later one: XCRS before XSAVE
//! (which features the area may hold), both before the special registers, those before MSRs (EFER
//! and APIC base are in both), the time stamp counter before the local APIC, whose timer it drives,
//! events and the run state last.

use kvm_bindings::{
    kvm_debugregs, kvm_lapic_state, kvm_mp_state, kvm_regs, kvm_sregs, kvm_vcpu_events, kvm_xcrs,
};
use serde::{Deserialize, Serialize};

use super::error::{KvmError, RestoreError};
use super::msrs::MsrSet;
use super::{Host, Vcpu, tsc, xsave};

/// One model-specific register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MsrValue {
    /// Its number.
    pub index: u32,
    /// Its content.
    pub value: u64,
}

/// Everything that a vCPU knows. See the module's documentation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VcpuState {
    /// Layout of this structure; [`VcpuState::VERSION`] when written by this program.
    pub version: u32,
    /// General registers, RIP and RFLAGS.
    pub regs: kvm_regs,
    /// Segments, descriptor tables, control registers, EFER, APIC base.
    pub sregs: kvm_sregs,
    /// Debug registers.
    pub debug_regs: kvm_debugregs,
    /// Pending and injected exceptions, interrupts, NMIs.
    pub events: kvm_vcpu_events,
    /// Runnable, halted, waiting for start-up.
    pub mp_state: kvm_mp_state,
    /// Extended control registers (XCR0).
    pub xcrs: kvm_xcrs,
    /// The XSAVE area in 4-byte words, as long as the host says.
    pub xsave: Vec<u32>,
    /// Model-specific registers, those that this host lists and gives.
    pub msrs: Vec<MsrValue>,
    /// How far the time stamp counter is from the host's, where KVM tells it. It then goes on in a copy
    /// as if nothing had happened, on this host and until it starts anew. Without it, the counter goes
    /// on from its value.
    pub tsc_offset: Option<u64>,
    /// The local APIC, when KVM provides it.
    pub lapic: Option<kvm_lapic_state>,
}

impl VcpuState {
    /// The layout that this program writes and reads.
    pub const VERSION: u32 = 2;

    /// Reads the state of a vCPU that is not running and has no exit pending.
    ///
    /// `lapic` says whether KVM provides the interrupt controller. Blocks while the vCPU runs.
    ///
    /// # Errors
    ///
    /// The call that failed.
    pub fn save(host: &Host, vcpu: &Vcpu, lapic: bool) -> Result<VcpuState, KvmError> {
        let fd = vcpu.lock();
        let lapic = match lapic {
            true => Some(fd.get_lapic().map_err(KvmError::of("KVM_GET_LAPIC"))?),
            false => None,
        };
        Ok(VcpuState {
            version: VcpuState::VERSION,
            // First, because for a halted vCPU KVM settles pending events when it is asked.
            mp_state: fd.get_mp_state().map_err(KvmError::of("KVM_GET_MP_STATE"))?,
            regs: fd.get_regs().map_err(KvmError::of("KVM_GET_REGS"))?,
            sregs: fd.get_sregs().map_err(KvmError::of("KVM_GET_SREGS"))?,
            debug_regs: fd.get_debug_regs().map_err(KvmError::of("KVM_GET_DEBUGREGS"))?,
            xcrs: fd.get_xcrs().map_err(KvmError::of("KVM_GET_XCRS"))?,
            xsave: xsave::get(&fd, host.xsave_len_bytes())
                .map_err(KvmError::of("KVM_GET_XSAVE2"))?,
            msrs: host.msr_set(lapic.is_some())?.get(&fd)?,
            tsc_offset: tsc::offset(&fd),
            events: fd.get_vcpu_events().map_err(KvmError::of("KVM_GET_VCPU_EVENTS"))?,
            lapic,
        })
    }

    /// Makes this state live on `vcpu`, which is not running.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] names the refused part. The vCPU is then in an undefined state and must not
    /// be run.
    pub fn restore(&self, host: &Host, vcpu: &Vcpu) -> Result<(), RestoreError> {
        if self.version != VcpuState::VERSION {
            let supported = VcpuState::VERSION;
            return Err(RestoreError::Version { found: self.version, supported });
        }
        let (found, expected) = (size_of_val(self.xsave.as_slice()), host.xsave_len_bytes());
        if found != expected.next_multiple_of(size_of::<u32>()) {
            return Err(RestoreError::XsaveLength { found, expected });
        }
        let fd = vcpu.lock();
        refused("XCRs", "KVM_SET_XCRS", fd.set_xcrs(&self.xcrs))?;
        refused("XSAVE area", "KVM_SET_XSAVE", xsave::set(&fd, &self.xsave, expected))?;
        refused("special registers", "KVM_SET_SREGS", fd.set_sregs(&self.sregs))?;
        let msrs = host.msr_set(self.lapic.is_some());
        let msrs = msrs.map_err(|source| RestoreError::Refused { part: "MSRs", source })?;
        msrs.set(&fd, &self.msrs)?;
        if let Some(offset) = self.tsc_offset {
            let set = tsc::set_offset(&fd, offset);
            refused("time stamp counter", "KVM_SET_DEVICE_ATTR", set)?;
        }
        if let Some(lapic) = &self.lapic {
            refused("local APIC", "KVM_SET_LAPIC", fd.set_lapic(lapic))?;
            self.restore_tsc_deadline(msrs, &fd)?;
        }
        refused("general registers", "KVM_SET_REGS", fd.set_regs(&self.regs))?;
        refused("debug registers", "KVM_SET_DEBUGREGS", fd.set_debug_regs(&self.debug_regs))?;
        refused("events", "KVM_SET_VCPU_EVENTS", fd.set_vcpu_events(&self.events))?;
        refused("run state", "KVM_SET_MP_STATE", fd.set_mp_state(self.mp_state))?;
        if self.lapic.is_some() {
            // The guest's watchdog is not to take the time since the cut for a lockup. A guest that
            // does not use KVM's clock has nothing that could be told.
            let _ = fd.kvmclock_ctrl();
        }
        Ok(())
    }

    /// The timer's deadline takes effect only once the local APIC is in its deadline mode.
    fn restore_tsc_deadline(
        &self,
        msrs: &MsrSet,
        fd: &kvm_ioctls::VcpuFd,
    ) -> Result<(), RestoreError> {
        const IA32_TSC_DEADLINE: u32 = 0x6e0;
        match self.msrs.iter().find(|m| m.index == IA32_TSC_DEADLINE) {
            Some(&deadline) => msrs.set(fd, &[deadline]),
            None => Ok(()),
        }
    }
}

pub(super) fn refused(
    part: &'static str,
    call: &'static str,
    result: Result<(), vmm_sys_util::errno::Error>,
) -> Result<(), RestoreError> {
    result.map_err(|errno| RestoreError::Refused { part, source: KvmError { call, errno } })
}
