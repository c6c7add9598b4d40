//! First writes that write nothing, for pages that a guest is about to write.
//!
//! Each page is touched like a CPU of the guest would: an atomic *or* of zero, so that a write of the guest at the
//! same moment is not lost, and no byte changes. The kernel answers such a fault under the lock of the
//! one mapping (per-VMA locks, Linux 6.4). MADV_POPULATE_WRITE, also for many places by one process_madvise(2), takes a
//! fifth less CPU time; but it takes the lock of all mappings of the process again and again as a reader, which
//! overtakes writers that wait: then the start of a thread, or of another clone, waits for all of it (1.6 ms for 1,000
//! pages, instead of 0.01).

#![expect(unsafe_code, reason = "writes through raw pointers, which no reference may be made of")]

use std::arch::asm;

use super::mapping::Mapping;
use crate::gfn::Run;

/// Makes each page of `run` what a write would, without changing a byte: a page that was mapped private is
/// here alone afterwards.
///
/// All of it must be shown in the mapping. Where the host has no memory left, this is like any other access.
pub(super) fn touch(mapping: &Mapping, run: Run) {
    for gfn in run.gfns() {
        let page = mapping.address(Run::one(gfn));
        // SAFETY: `address` has checked that the page lies in the mapping, where the caller has something shown,
        // and it is mapped for writing. The instruction is atomic and changes no byte, whoever else writes there. (An
        // atomic of the language may be compiled to a read when it changes nothing.)
        unsafe { asm!("lock or byte ptr [{page}], 0", page = in(reg) page, options(nostack)) };
    }
}
