//! The XSAVE area of a vCPU: floating point, SSE, AVX and the rest, in its standard form.
//!
//! KVM copies as many bytes as the guest's features need, which may be more than the classic
//! 4096 (KVM API documentation, KVM_GET_XSAVE2), so a buffer that is too short would be overrun.
//! Every buffer here is as long as KVM_CAP_XSAVE2 says.

#![expect(unsafe_code, reason = "KVM trusts the length of the XSAVE buffers that it is given")]

use kvm_bindings::{Xsave, kvm_xsave};
use kvm_ioctls::VcpuFd;
use vmm_sys_util::errno;

const WORD: usize = size_of::<u32>();
const CLASSIC_WORDS: usize = size_of::<kvm_xsave>() / WORD;

/// An area of `len_bytes`, all zero.
fn zeroed(len_bytes: usize) -> Result<Xsave, errno::Error> {
    let beyond_words = len_bytes.div_ceil(WORD).saturating_sub(CLASSIC_WORDS);
    Xsave::new(beyond_words).map_err(|_| errno::Error::new(libc::ENOMEM))
}

/// Reads the area, as `len_bytes / 4` words. `len_bytes` comes from
/// [`Host::xsave_len_bytes`](super::Host::xsave_len_bytes).
pub(super) fn get(vcpu: &VcpuFd, len_bytes: usize) -> Result<Vec<u32>, errno::Error> {
    let mut area = zeroed(len_bytes)?;
    if len_bytes > size_of::<kvm_xsave>() {
        // SAFETY: the buffer must hold as many bytes as KVM_CAP_XSAVE2 reports: `zeroed` made it
        // `len_bytes` long, which is that number.
        unsafe { vcpu.get_xsave2(&mut area) }?;
    } else {
        // SAFETY: the length field of the wrapper is left as it is.
        unsafe { area.as_mut_fam_struct() }.xsave = vcpu.get_xsave()?;
    }
    let mut words = Vec::with_capacity(len_bytes.div_ceil(WORD));
    words.extend_from_slice(&area.as_fam_struct_ref().xsave.region);
    words.extend_from_slice(area.as_slice());
    Ok(words)
}

/// Sets the area from words that [`get`] gave on a host with the same length.
pub(super) fn set(vcpu: &VcpuFd, words: &[u32], len_bytes: usize) -> Result<(), errno::Error> {
    if words.len() != len_bytes.div_ceil(WORD) || words.len() < CLASSIC_WORDS {
        return Err(errno::Error::new(libc::EINVAL));
    }
    let (classic, beyond) = words.split_at(CLASSIC_WORDS);
    let mut area = zeroed(len_bytes)?;
    // SAFETY: the length field of the wrapper is left as it is.
    unsafe { area.as_mut_fam_struct() }.xsave.region.copy_from_slice(classic);
    area.as_mut_slice().copy_from_slice(beyond);
    // SAFETY: KVM reads as many bytes as KVM_CAP_XSAVE2 reports; the buffer is that long.
    unsafe { vcpu.set_xsave2(&area) }
}
