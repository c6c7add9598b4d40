//! The KVM side of a machine that is being made.

use super::ram::{self, GuestRam};
use crate::boot::linux::layout::{KVM_IDENTITY_MAP, KVM_TSS};
use crate::kvm::{Host, KvmError, Vcpu, Vcpus, Vm};

/// Which interrupt controllers, timer and clock KVM provides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chips {
    /// None: nothing ever interrupts the guest. What the embedded payload wants.
    None,
    /// All of a PC's.
    Pc,
}

/// The KVM side of a machine, memory first.
pub(super) fn create(
    host: &Host,
    ram: &GuestRam,
    count: u32,
    chips: Chips,
) -> Result<(Vm, Vec<Vcpu>), KvmError> {
    let vm = Vm::new(host)?;
    ram::map(&vm, ram)?;
    if chips == Chips::Pc {
        vm.create_chips(KVM_TSS, KVM_IDENTITY_MAP)?;
    }
    let tsc_deadline = chips == Chips::Pc && host.has_tsc_deadline();
    let vcpus = Vcpus { count, tsc_deadline };
    let vcpus =
        (0..count).map(|index| vm.create_vcpu(host, index, vcpus)).collect::<Result<_, _>>()?;
    Ok((vm, vcpus))
}
