//! The first registers of a vCPU: ring 3 of long mode, at the payload's entry.
//!
//! Segments are set directly (KVM_SET_SREGS with a descriptor privilege level of 3), so nothing
//! has to run in ring 0 first. The descriptor table in RAM says the same, for a payload that loads
//! a segment register. There is no interrupt table: an exception ends the guest with a triple
//! fault, which the host sees as [`Shutdown`](crate::machine::Stopped::Shutdown).

use kvm_bindings::{kvm_fpu, kvm_regs, kvm_segment, kvm_sregs};
use pincow_guest_protocol::map::{GDT_BASE, TSS_BASE, stack_top};
use pincow_mmu::host::WindowMemory;
use vm_memory::{Bytes, GuestAddress};

use super::{BootError, Loaded, paging};
use crate::kvm::{KvmError, Vcpu};

#[cfg(test)]
mod tests;

/// Selectors with privilege level 3: entries 3 (data) and 4 (code) of the table.
const USER_DATA: u16 = 3 << 3 | 3;
const USER_CODE: u16 = 4 << 3 | 3;
const TSS: u16 = 5 << 3;
const TSS_LIMIT: u32 = 0x67;

/// Null, kernel code, kernel data, user data, user code, and the two halves of the TSS.
const DESCRIPTORS: [u64; 7] = [
    0,
    0x00af_9b00_0000_ffff,
    0x00cf_9300_0000_ffff,
    0x00cf_f300_0000_ffff,
    0x00af_fb00_0000_ffff,
    0x0000_8b00_0000_0000 | TSS_LIMIT as u64 | TSS_BASE << 16,
    0,
];

/// PE, MP, ET, NE, WP, PG.
const CR0: u64 = 1 | 1 << 1 | 1 << 4 | 1 << 5 | 1 << 16 | 1 << 31;
/// PAE, OSFXSR, OSXMMEXCPT: compilers use SSE.
const CR4: u64 = 1 << 5 | 1 << 9 | 1 << 10;
/// LME, LMA.
const EFER: u64 = 1 << 8 | 1 << 10;
/// Only the bit that is always set.
const RFLAGS: u64 = 2;
/// x87 control word and MXCSR as the System V ABI has them at process entry: all masked.
const FCW: u16 = 0x37f;
const MXCSR: u32 = 0x1f80;

/// Writes the descriptor table. The TSS stays zero: no I/O bitmap, no stacks for other rings.
pub(super) fn write_descriptors(memory: &WindowMemory) -> Result<(), BootError> {
    let bytes: Vec<u8> = DESCRIPTORS.iter().flat_map(|d| d.to_le_bytes()).collect();
    memory.write_slice(&bytes, GuestAddress(GDT_BASE)).map_err(|source| BootError::Write {
        what: "descriptor table",
        address: GDT_BASE,
        source,
    })
}

/// Puts `vcpu` at the payload's entry.
///
/// # Errors
///
/// [`BootError::Entry`] with the call that failed.
pub fn set(vcpu: &Vcpu, loaded: &Loaded) -> Result<(), BootError> {
    try_set(vcpu, loaded).map_err(|source| BootError::Entry { vcpu: vcpu.index(), source })
}

fn try_set(vcpu: &Vcpu, loaded: &Loaded) -> Result<(), KvmError> {
    let fd = vcpu.lock();
    let mut sregs = fd.get_sregs().map_err(KvmError::of("KVM_GET_SREGS"))?;
    set_ring_3(&mut sregs);
    fd.set_sregs(&sregs).map_err(KvmError::of("KVM_SET_SREGS"))?;
    let fpu = kvm_fpu { fcw: FCW, mxcsr: MXCSR, ..Default::default() };
    fd.set_fpu(&fpu).map_err(KvmError::of("KVM_SET_FPU"))?;
    let regs = kvm_regs {
        rip: loaded.entry,
        rsp: stack_top(vcpu.index() as usize),
        rdi: u64::from(vcpu.index()),
        rsi: loaded.ram_bytes,
        rdx: u64::from(loaded.vcpus),
        rflags: RFLAGS,
        ..Default::default()
    };
    fd.set_regs(&regs).map_err(KvmError::of("KVM_SET_REGS"))
}

fn set_ring_3(sregs: &mut kvm_sregs) {
    let data = segment(USER_DATA, 0x3);
    sregs.cs = kvm_segment { l: 1, db: 0, ..segment(USER_CODE, 0xb) };
    (sregs.ss, sregs.ds, sregs.es, sregs.fs, sregs.gs) = (data, data, data, data, data);
    sregs.tr = kvm_segment {
        base: TSS_BASE,
        limit: TSS_LIMIT,
        selector: TSS,
        type_: 0xb,
        present: 1,
        ..Default::default()
    };
    sregs.ldt = kvm_segment { unusable: 1, ..Default::default() };
    sregs.gdt.base = GDT_BASE;
    sregs.gdt.limit = (size_of_val(&DESCRIPTORS) - 1) as u16;
    (sregs.idt.base, sregs.idt.limit) = (0, 0);
    (sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer) = (CR0, paging::PML4, CR4, EFER);
}

/// A flat segment for ring 3 of this type (Intel SDM volume 3, table 3-1).
fn segment(selector: u16, type_: u8) -> kvm_segment {
    kvm_segment {
        base: 0,
        limit: 0xffff_ffff,
        selector,
        type_,
        present: 1,
        dpl: 3,
        db: 1,
        s: 1,
        g: 1,
        ..Default::default()
    }
}
