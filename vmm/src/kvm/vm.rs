//! One virtual machine: its memory slots, its vCPUs, and the writes that only ring a bell.

#![expect(unsafe_code, reason = "a memory slot hands a host address range to the guest")]

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{IoEventAddress, Kvm, VmFd};
use vmm_sys_util::eventfd::EventFd;

use super::error::KvmError;
use super::{Host, Vcpu, Vcpus, cpuid};

/// A KVM virtual machine.
///
/// Set all memory slots before anything else: a slot that comes after the in-kernel interrupt
/// controller costs 7 ms on the development kernel, before it 0.06 to 0.6 ms.
#[derive(Debug)]
pub struct Vm {
    pub(super) fd: VmFd,
}

/// KVM_CREATE_VM, again for as long as it is interrupted.
///
/// It takes every lock of this process's mappings, and gives up with EINTR when a signal is pending
/// meanwhile (`mm_take_all_locks`). What io_uring has to do in this thread counts as one: of 1,500
/// machines made after a ring was closed, a dozen met that on the development kernel.
pub(super) fn create(kvm: &Kvm) -> Result<VmFd, KvmError> {
    loop {
        match kvm.create_vm() {
            Err(error) if error.errno() == libc::EINTR => {}
            made => return made.map_err(KvmError::of("KVM_CREATE_VM")),
        }
    }
}

impl Vm {
    /// Creates an empty virtual machine (KVM_CREATE_VM).
    ///
    /// # Errors
    ///
    /// What KVM answered, e.g. out of memory or file descriptors.
    pub fn new(host: &Host) -> Result<Vm, KvmError> {
        create(host.kvm()).map(|fd| Vm { fd })
    }

    /// Shows `len_bytes` of host memory at `host_address` to the guest at `guest_address`, all
    /// page-aligned (KVM_SET_USER_MEMORY_REGION).
    ///
    /// # Safety
    ///
    /// For as long as a vCPU of this machine can run:
    /// - the range stays mapped for this use (its pages may be replaced or protected at will, KVM
    ///   follows), and
    /// - nothing else in this process relies on what is in it, because the guest writes it at any
    ///   time.
    ///
    /// # Errors
    ///
    /// What KVM answered: an overlap with another slot, or an unaligned range.
    pub unsafe fn map_ram(
        &self,
        slot: u32,
        guest_address: u64,
        host_address: u64,
        len_bytes: u64,
    ) -> Result<(), KvmError> {
        let region = kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr: guest_address,
            memory_size: len_bytes,
            userspace_addr: host_address,
        };
        // SAFETY: the range is the guest's alone while vCPUs run; the caller promises it.
        unsafe { self.fd.set_user_memory_region(region) }
            .map_err(KvmError::of("KVM_SET_USER_MEMORY_REGION"))
    }

    /// Creates vCPU `index` with the host's CPUID, and its place among the guest's `vcpus`.
    ///
    /// # Errors
    ///
    /// What KVM answered, e.g. when `index` exists already.
    pub fn create_vcpu(&self, host: &Host, index: u32, vcpus: Vcpus) -> Result<Vcpu, KvmError> {
        let fd = self.fd.create_vcpu(u64::from(index)).map_err(KvmError::of("KVM_CREATE_VCPU"))?;
        fd.set_cpuid2(&cpuid::for_vcpu(host.cpuid(), index, vcpus)?)
            .map_err(KvmError::of("KVM_SET_CPUID2"))?;
        Ok(Vcpu::new(fd, index))
    }

    /// Has the kernel add 1 to `event` whenever a vCPU writes the 32 bits `value` to guest-physical
    /// `address` (KVM_IOEVENTFD). The write is then no exit. Other values and widths still are.
    ///
    /// The kernel keeps the event counter until the machine is gone, and never waits for it.
    ///
    /// # Errors
    ///
    /// What KVM answered, e.g. when that write rings a bell already.
    pub fn ring_on_write(&self, address: u64, value: u32, event: &EventFd) -> Result<(), KvmError> {
        self.fd
            .register_ioevent(event, &IoEventAddress::Mmio(address), value)
            .map_err(KvmError::of("KVM_IOEVENTFD"))
    }
}
