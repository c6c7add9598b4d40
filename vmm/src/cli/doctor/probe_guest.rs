//! Guests of a few instructions, which tell what KVM is made of.
//!
//! A KVM that emulates privileged code knows some instructions only, and nothing that can be asked
//! says which. So a guest runs two in ring 0 that every kernel contains. Exits are timed from ring 3,
//! where the embedded payload runs: those of emulated code are much faster.

#![expect(unsafe_code, reason = "the guest is given a page of this process's memory")]

use std::error::Error;
use std::time::{Duration, Instant};

use kvm_bindings::{kvm_regs, kvm_segment, kvm_sregs};
use kvm_ioctls::VcpuExit;
use pincow_guest_protocol::devices::DEVICES_BASE;
use pincow_mmu::host::{WindowMemory, anonymous};
use serde::Serialize;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

use crate::cli::spread::Spread;
use crate::kvm::exit::internal_error;
use crate::kvm::{Host, Vcpu, Vcpus, Vm};
use crate::{boot, payload};

/// popcnt eax, ebx; movd xmm0, eax; hlt.
const KERNEL_CODE: [u8; 9] = [0xf3, 0x0f, 0xb8, 0xc3, 0x66, 0x0f, 0x6e, 0xc0, 0xf4];
/// movabs rax, then the address; again: mov [rax], al; jmp to it.
const ADDRESS_TO_RAX: [u8; 2] = [0x48, 0xb8];
const STORE_FOR_EVER: [u8; 4] = [0x88, 0x00, 0xeb, 0xfc];

/// As little memory as a payload can have; only what is touched is ever allocated.
const LEN_BYTES: u64 = boot::RAM_LEAST_BYTES;
const RING0_ENTRY: u64 = 0x1000;

/// How many exits are timed, after some that warm everything up.
const TIMED: usize = 200;
const WARM_UP: usize = 20;

/// PE, MP, ET, NE: protected mode, no paging.
const CR0: u64 = 1 | 1 << 1 | 1 << 4 | 1 << 5;
/// OSFXSR, OSXMMEXCPT: SSE instructions are allowed.
const CR4: u64 = 1 << 9 | 1 << 10;

/// Whether guests can run privileged code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "answer", content = "instruction")]
pub(super) enum Ring0 {
    /// Yes: unmodified kernels can run.
    Works,
    /// KVM could not go on at an instruction, whose bytes these are, if it says.
    Refused(String),
    /// The guest never came back.
    Hangs,
}

/// A guest of a few instructions.
pub(super) struct ProbeGuest {
    vcpu: Vcpu,
    vm: Vm,
    /// Goes last: the machine uses it.
    memory: WindowMemory,
}

/// What became of the guest.
pub(super) enum End {
    Halted,
    /// It stored something where there is no memory, at this address.
    Stored(u64),
    Other(String),
}

/// Whether instructions that every kernel has run in ring 0.
pub(super) fn ring0(host: &Host) -> Ring0 {
    match ProbeGuest::in_ring0(host).map(|guest| guest.enter()) {
        Ok(End::Halted) => Ring0::Works,
        Ok(End::Stored(_)) => Ring0::Refused("a store to nowhere".to_owned()),
        Ok(End::Other(what)) => Ring0::Refused(what),
        Err(error) => Ring0::Refused(error.to_string()),
    }
}

/// How long exits take; nothing when there are none.
pub(super) fn exits(host: &Host) -> Option<Spread> {
    let device = DEVICES_BASE.to_le_bytes();
    let code = [ADDRESS_TO_RAX.as_slice(), &device, &STORE_FOR_EVER].concat();
    let guest = ProbeGuest::in_ring3(host, &code).ok()?;
    let mut samples: Vec<Duration> = Vec::with_capacity(TIMED + WARM_UP);
    for _ in 0..TIMED + WARM_UP {
        let begun = Instant::now();
        let End::Stored(_) = guest.enter() else { return None };
        samples.push(begun.elapsed());
    }
    Some(Spread::of(&samples[WARM_UP..]))
}

impl ProbeGuest {
    fn new(host: &Host) -> Result<Self, Box<dyn Error>> {
        let memory = anonymous(LEN_BYTES as usize)?;
        let address = memory.get_host_address(GuestAddress(0))?;
        let vm = Vm::new(host)?;
        // SAFETY: the memory is this guest's alone and lives as long as its vCPU, which is dropped
        // before it.
        unsafe { vm.map_ram(0, 0, address as u64, LEN_BYTES) }?;
        let vcpu = vm.create_vcpu(host, 0, Vcpus::ONE)?;
        Ok(Self { vcpu, vm, memory })
    }

    /// At code that a kernel may have.
    fn in_ring0(host: &Host) -> Result<Self, Box<dyn Error>> {
        let guest = Self::new(host)?;
        guest.memory.write_slice(&KERNEL_CODE, GuestAddress(RING0_ENTRY))?;
        start_in_ring0(&guest.vcpu)?;
        Ok(guest)
    }

    /// At `code`, which can be anywhere and has no stack.
    pub(super) fn in_ring3(host: &Host, code: &[u8]) -> Result<Self, Box<dyn Error>> {
        let guest = Self::new(host)?;
        let loaded = boot::load(&guest.memory, LEN_BYTES, 1, payload::PAYLOAD)?;
        guest.memory.write_slice(code, GuestAddress(loaded.entry))?;
        boot::entry::set(&guest.vcpu, &loaded)?;
        Ok(guest)
    }

    /// Its machine.
    pub(super) fn vm(&self) -> &Vm {
        &self.vm
    }

    /// Runs until something happens.
    pub(super) fn enter(&self) -> End {
        let mut fd = self.vcpu.lock();
        let end = match fd.run() {
            Ok(VcpuExit::Hlt) => return End::Halted,
            Ok(VcpuExit::MmioWrite(address, _)) => return End::Stored(address),
            Ok(VcpuExit::InternalError) => None,
            Ok(other) => Some(format!("{other:?}")),
            Err(errno) => Some(errno.to_string()),
        };
        End::Other(end.unwrap_or_else(|| hex(&internal_error(&mut fd).instruction)))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// Puts the vCPU at its code, in ring 0 of flat 32-bit protected mode.
fn start_in_ring0(vcpu: &Vcpu) -> Result<(), vmm_sys_util::errno::Error> {
    let fd = vcpu.lock();
    let mut sregs = fd.get_sregs()?;
    enter_protected_mode(&mut sregs);
    fd.set_sregs(&sregs)?;
    fd.set_regs(&kvm_regs { rip: RING0_ENTRY, rflags: 2, ..Default::default() })
}

fn enter_protected_mode(sregs: &mut kvm_sregs) {
    let flat = |selector, type_| kvm_segment {
        base: 0,
        limit: 0xffff_ffff,
        selector,
        type_,
        present: 1,
        db: 1,
        s: 1,
        g: 1,
        ..Default::default()
    };
    let data = flat(2 << 3, 0x3);
    sregs.cs = flat(1 << 3, 0xb);
    (sregs.ss, sregs.ds, sregs.es, sregs.fs, sregs.gs) = (data, data, data, data, data);
    (sregs.cr0, sregs.cr4) = (CR0, CR4);
}
