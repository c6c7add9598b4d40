//! The local APIC as a PC's firmware leaves it.

use super::error::KvmError;
use super::vcpu::Vcpu;

/// Offsets of the local vector table entries (Intel SDM volume 3, table 11-1).
const LINT0: usize = 0x350;
const LINT1: usize = 0x360;

/// Delivery modes (volume 3, 11.5.1): what the 8259s ask for, and an NMI.
const EXT_INT: u32 = 7 << 8;
const NMI: u32 = 4 << 8;

impl Vcpu {
    /// Lets interrupts of the 8259s in through LINT0, and NMIs through LINT1 (virtual wire mode, Intel
    /// MultiProcessor Specification 3.6.2.2).
    ///
    /// # Errors
    ///
    /// What KVM answered, e.g. that it does not provide the local APIC.
    pub fn wire_lapic(&self) -> Result<(), KvmError> {
        let fd = self.lock();
        let mut lapic = fd.get_lapic().map_err(KvmError::of("KVM_GET_LAPIC"))?;
        for (offset, value) in [(LINT0, EXT_INT), (LINT1, NMI)] {
            for (register, byte) in lapic.regs[offset..].iter_mut().zip(value.to_le_bytes()) {
                *register = byte as std::ffi::c_char;
            }
        }
        fd.set_lapic(&lapic).map_err(KvmError::of("KVM_SET_LAPIC"))
    }
}
