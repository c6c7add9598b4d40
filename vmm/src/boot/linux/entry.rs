//! The registers of vCPU 0 at a kernel's entry, and what a PC's firmware leaves in all vCPUs.
//!
//! The other vCPUs wait for the start-up interrupt that the kernel sends them.

use kvm_bindings::{Msrs, kvm_msr_entry, kvm_regs, kvm_segment, kvm_sregs};
use pincow_mmu::host::WindowMemory;
use vm_memory::{Bytes, GuestAddress};

use super::layout::{GDT, START_INFO, ZERO_PAGE};
use super::{Entry, LinuxError, Protocol, paging};
use crate::kvm::{KvmError, Vcpu};

#[cfg(test)]
mod tests;

/// Selectors as boot.rst names them: __BOOT_CS and __BOOT_DS; and a task state segment, for PVH.
const CODE: u16 = 0x10;
const DATA: u16 = 0x18;
const TASK: u16 = 0x20;
const TASK_LIMIT: u32 = 0x67;

/// Two empty ones, code, data, and the task state segment.
fn descriptors(protocol: Protocol) -> [u64; 5] {
    let code = match protocol {
        Protocol::Linux64 => 0x00af_9b00_0000_ffff,
        Protocol::Pvh => 0x00cf_9b00_0000_ffff,
    };
    [0, 0, code, 0x00cf_9300_0000_ffff, 0x0000_8b00_0000_0000 | u64::from(TASK_LIMIT)]
}

/// PE, ET; NE and PG.
const CR0_PE: u64 = 1;
const CR0_ET: u64 = 1 << 4;
const CR0_NE: u64 = 1 << 5;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
/// LME, LMA.
const EFER_LONG: u64 = 1 << 8 | 1 << 10;
/// Only the bit that is always set: interrupts are off.
const RFLAGS: u64 = 2;

/// IA32_MTRR_DEF_TYPE: MTRRs are on and all memory is write-back.
const MTRR_DEF_TYPE: u32 = 0x2ff;
const MTRR_ON_WRITE_BACK: u64 = 1 << 11 | 6;

/// Writes the descriptor table.
pub(super) fn write_descriptors(
    memory: &WindowMemory,
    protocol: Protocol,
) -> Result<(), LinuxError> {
    let bytes: Vec<u8> = descriptors(protocol).iter().flat_map(|d| d.to_le_bytes()).collect();
    memory.write_slice(&bytes, GuestAddress(GDT)).map_err(|source| LinuxError::Write {
        what: "descriptor table",
        address: GDT,
        source,
    })
}

/// Puts `vcpu`, which is vCPU 0, at `entry`.
pub(super) fn set(vcpu: &Vcpu, entry: Entry) -> Result<(), KvmError> {
    let fd = vcpu.lock();
    let mut sregs = fd.get_sregs().map_err(KvmError::of("KVM_GET_SREGS"))?;
    set_mode(&mut sregs, entry.protocol);
    fd.set_sregs(&sregs).map_err(KvmError::of("KVM_SET_SREGS"))?;
    let mut regs = kvm_regs { rip: entry.address, rflags: RFLAGS, ..Default::default() };
    match entry.protocol {
        Protocol::Linux64 => regs.rsi = ZERO_PAGE,
        Protocol::Pvh => regs.rbx = START_INFO,
    }
    fd.set_regs(&regs).map_err(KvmError::of("KVM_SET_REGS"))
}

/// What firmware leaves: memory is write-back. A KVM without MTRRs does not need to be told.
pub(super) fn set_firmware_msrs(vcpu: &Vcpu) -> Result<(), KvmError> {
    let call = "KVM_SET_MSRS";
    let entry =
        kvm_msr_entry { index: MTRR_DEF_TYPE, data: MTRR_ON_WRITE_BACK, ..Default::default() };
    let msrs = Msrs::from_entries(&[entry])
        .map_err(|_| KvmError { call, errno: vmm_sys_util::errno::Error::new(libc::ENOMEM) })?;
    vcpu.lock().set_msrs(&msrs).map(|_| ()).map_err(KvmError::of(call))
}

fn set_mode(sregs: &mut kvm_sregs, protocol: Protocol) {
    let long = protocol == Protocol::Linux64;
    let code = flat(CODE, 0xb);
    sregs.cs = kvm_segment { l: u8::from(long), db: u8::from(!long), ..code };
    let data = flat(DATA, 0x3);
    (sregs.ss, sregs.ds, sregs.es, sregs.fs, sregs.gs) = (data, data, data, data, data);
    sregs.tr = kvm_segment {
        limit: TASK_LIMIT,
        selector: TASK,
        type_: 0xb,
        present: 1,
        ..Default::default()
    };
    sregs.ldt = kvm_segment { unusable: 1, ..Default::default() };
    sregs.gdt.base = GDT;
    sregs.gdt.limit = (size_of_val(&descriptors(protocol)) - 1) as u16;
    (sregs.idt.base, sregs.idt.limit) = (0, 0);
    if long {
        sregs.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
        (sregs.cr3, sregs.cr4, sregs.efer) = (paging::PML4, CR4_PAE, EFER_LONG);
    } else {
        (sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer) = (CR0_PE | CR0_ET, 0, 0, 0);
    }
}

/// A flat segment for ring 0 of this type (Intel SDM volume 3, table 3-1).
fn flat(selector: u16, type_: u8) -> kvm_segment {
    kvm_segment {
        base: 0,
        limit: 0xffff_ffff,
        selector,
        type_,
        present: 1,
        dpl: 0,
        db: 1,
        s: 1,
        g: 1,
        ..Default::default()
    }
}
