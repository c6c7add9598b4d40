//! The state of a vCPU in the very form in which KVM takes it: nothing is allocated or converted
//! while the clock runs.

#![expect(unsafe_code, reason = "KVM trusts the length of the XSAVE buffers that it is given")]

use kvm_bindings::{
    Msrs, Xsave, kvm_debugregs, kvm_mp_state, kvm_msr_entry, kvm_regs, kvm_sregs, kvm_vcpu_events,
    kvm_xcrs, kvm_xsave,
};
use kvm_ioctls::VcpuFd;
use vmm_sys_util::errno;

use super::BenchError;
use crate::kvm::{Host, KvmError, VcpuState};

const CLASSIC_WORDS: usize = size_of::<kvm_xsave>() / size_of::<u32>();

/// Everything that a vCPU without an interrupt controller knows.
#[derive(Clone)]
pub(in crate::bench) struct CpuState {
    mp_state: kvm_mp_state,
    regs: kvm_regs,
    sregs: kvm_sregs,
    debug_regs: kvm_debugregs,
    xcrs: kvm_xcrs,
    events: kvm_vcpu_events,
    msrs: Msrs,
    /// As long as KVM_CAP_XSAVE2 says.
    xsave: Xsave,
}

impl CpuState {
    /// The state of a vCPU that pincow saved on this host.
    pub(super) fn of(host: &Host, state: &VcpuState) -> Result<Self, BenchError> {
        let entry = |m: &crate::kvm::MsrValue| kvm_msr_entry {
            index: m.index,
            data: m.value,
            ..Default::default()
        };
        let entries: Vec<_> = state.msrs.iter().map(entry).collect();
        let msrs = Msrs::from_entries(&entries).map_err(|_| error("KVM_SET_MSRS", libc::E2BIG))?;
        Ok(Self {
            mp_state: state.mp_state,
            regs: state.regs,
            sregs: state.sregs,
            debug_regs: state.debug_regs,
            xcrs: state.xcrs,
            events: state.events,
            msrs,
            xsave: xsave_area(host, &state.xsave)?,
        })
    }

    /// Reads all of it from a vCPU that does not run.
    pub(super) fn get(&mut self, fd: &VcpuFd) -> Result<(), KvmError> {
        self.mp_state = fd.get_mp_state().map_err(KvmError::of("KVM_GET_MP_STATE"))?;
        self.regs = fd.get_regs().map_err(KvmError::of("KVM_GET_REGS"))?;
        self.sregs = fd.get_sregs().map_err(KvmError::of("KVM_GET_SREGS"))?;
        self.debug_regs = fd.get_debug_regs().map_err(KvmError::of("KVM_GET_DEBUGREGS"))?;
        self.xcrs = fd.get_xcrs().map_err(KvmError::of("KVM_GET_XCRS"))?;
        // SAFETY: KVM writes as many bytes as KVM_CAP_XSAVE2 says; `xsave_area` made it that long.
        unsafe { fd.get_xsave2(&mut self.xsave) }.map_err(KvmError::of("KVM_GET_XSAVE2"))?;
        let got = fd.get_msrs(&mut self.msrs).map_err(KvmError::of("KVM_GET_MSRS"))?;
        self.all_msrs("KVM_GET_MSRS", got)?;
        self.events = fd.get_vcpu_events().map_err(KvmError::of("KVM_GET_VCPU_EVENTS"))?;
        Ok(())
    }

    /// Makes it live on a vCPU that does not run, in the order of [`VcpuState::restore`].
    pub(super) fn set(&self, fd: &VcpuFd) -> Result<(), KvmError> {
        fd.set_xcrs(&self.xcrs).map_err(KvmError::of("KVM_SET_XCRS"))?;
        // SAFETY: KVM reads as many bytes as KVM_CAP_XSAVE2 says; `xsave_area` made it that long.
        unsafe { fd.set_xsave2(&self.xsave) }.map_err(KvmError::of("KVM_SET_XSAVE"))?;
        fd.set_sregs(&self.sregs).map_err(KvmError::of("KVM_SET_SREGS"))?;
        let set = fd.set_msrs(&self.msrs).map_err(KvmError::of("KVM_SET_MSRS"))?;
        self.all_msrs("KVM_SET_MSRS", set)?;
        fd.set_regs(&self.regs).map_err(KvmError::of("KVM_SET_REGS"))?;
        fd.set_debug_regs(&self.debug_regs).map_err(KvmError::of("KVM_SET_DEBUGREGS"))?;
        fd.set_vcpu_events(&self.events).map_err(KvmError::of("KVM_SET_VCPU_EVENTS"))?;
        fd.set_mp_state(self.mp_state).map_err(KvmError::of("KVM_SET_MP_STATE"))
    }

    fn all_msrs(&self, call: &'static str, done: usize) -> Result<(), KvmError> {
        if done == self.msrs.as_slice().len() { Ok(()) } else { Err(error(call, libc::EIO)) }
    }
}

fn error(call: &'static str, errno: i32) -> KvmError {
    KvmError { call, errno: errno::Error::new(errno) }
}

/// An area as long as this host's, with these words in it.
fn xsave_area(host: &Host, words: &[u32]) -> Result<Xsave, KvmError> {
    let refused = || error("KVM_SET_XSAVE", libc::EINVAL);
    let len_words = host.xsave_len_bytes().div_ceil(size_of::<u32>());
    if words.len() != len_words || len_words < CLASSIC_WORDS {
        return Err(refused());
    }
    let (classic, beyond) = words.split_at(CLASSIC_WORDS);
    let mut area = Xsave::new(beyond.len()).map_err(|_| refused())?;
    // SAFETY: the length field of the wrapper is left as it is.
    unsafe { area.as_mut_fam_struct() }.xsave.region.copy_from_slice(classic);
    area.as_mut_slice().copy_from_slice(beyond);
    Ok(area)
}
