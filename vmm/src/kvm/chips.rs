//! What KVM keeps for a machine as a whole: interrupt controllers, timer, clock.

#![expect(unsafe_code, reason = "the state of an interrupt controller is a union")]

use std::time::{SystemTime, UNIX_EPOCH};

use kvm_bindings::{
    KVM_CLOCK_REALTIME, KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE,
    KVM_PIT_SPEAKER_DUMMY, kvm_clock_data, kvm_irqchip, kvm_pit_config, kvm_pit_state2,
};
use serde::{Deserialize, Serialize};
use vmm_sys_util::eventfd::EventFd;

use super::error::{KvmError, RestoreError};
use super::state::refused;
use super::{Host, Vm};

#[cfg(test)]
mod tests;

/// Bytes of a `kvm_ioapic_state` before its table, and of the table.
const IOAPIC_HEADER_LEN: usize = 24;
const IOAPIC_INPUTS: usize = 24;
const PIC_LEN: usize = 16;

/// One 8259: the registers of `struct kvm_pic_state`, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PicState(pub [u8; PIC_LEN]);

/// The IOAPIC: `struct kvm_ioapic_state`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoapicState {
    /// Guest-physical address of its registers.
    pub base_address: u64,
    /// The register that is selected.
    pub selected: u32,
    /// Its number.
    pub id: u32,
    /// Inputs that are asserted, a bit each.
    pub asserted: u32,
    /// Where each input goes.
    pub redirections: [u64; IOAPIC_INPUTS],
}

/// All of it, as plain data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChipsState {
    /// The master 8259.
    pub pic_master: PicState,
    /// The slave 8259.
    pub pic_slave: PicState,
    /// The IOAPIC.
    pub ioapic: IoapicState,
    /// The 8254 timer.
    pub pit: kvm_pit_state2,
    /// The guest's clock in nanoseconds, and the host's time of day then, where KVM gives it.
    pub clock: kvm_clock_data,
}

impl Vm {
    /// Creates the in-kernel interrupt controllers and the 8254. After the memory slots, before the
    /// vCPUs. `tss` is the guest-physical address of three pages and `identity_map` of one page that
    /// no memory slot has: Intel hosts need them for guests in real mode.
    ///
    /// # Errors
    ///
    /// What KVM answered.
    pub fn create_chips(&self, tss: u64, identity_map: u64) -> Result<(), KvmError> {
        let fd = &self.fd;
        fd.set_tss_address(tss as usize).map_err(KvmError::of("KVM_SET_TSS_ADDR"))?;
        fd.set_identity_map_address(identity_map)
            .map_err(KvmError::of("KVM_SET_IDENTITY_MAP_ADDR"))?;
        fd.create_irq_chip().map_err(KvmError::of("KVM_CREATE_IRQCHIP"))?;
        // The speaker's port is KVM's too: Linux reads it to time the timer.
        let config = kvm_pit_config { flags: KVM_PIT_SPEAKER_DUMMY, ..Default::default() };
        fd.create_pit2(config).map_err(KvmError::of("KVM_CREATE_PIT2"))
    }

    /// Turns what `event` counts into edges on input `irq` (KVM_IRQFD). What it has counted before
    /// comes at once.
    ///
    /// An edge is two steps of a kernel thread, up and down. A state that was saved in between has the
    /// input up for ever when it is restored, and the next edge is none (`ioapic_set_irq` takes it for
    /// the same one). So the input is put down first; what it had to say is in the local APIC by then.
    ///
    /// # Errors
    ///
    /// What KVM answered, e.g. that the machine has no interrupt controllers.
    pub fn connect(&self, event: &EventFd, irq: u32) -> Result<(), KvmError> {
        self.fd.set_irq_line(irq, false).map_err(KvmError::of("KVM_IRQ_LINE"))?;
        self.fd.register_irqfd(event, irq).map_err(KvmError::of("KVM_IRQFD"))
    }

    /// Reads the state of all chips. No vCPU runs.
    ///
    /// # Errors
    ///
    /// The call that failed.
    pub fn save_chips(&self) -> Result<ChipsState, KvmError> {
        Ok(ChipsState {
            pic_master: PicState(leading(&self.chip(KVM_IRQCHIP_PIC_MASTER)?)),
            pic_slave: PicState(leading(&self.chip(KVM_IRQCHIP_PIC_SLAVE)?)),
            ioapic: IoapicState::read(&self.chip(KVM_IRQCHIP_IOAPIC)?),
            pit: self.fd.get_pit2().map_err(KvmError::of("KVM_GET_PIT2"))?,
            clock: self.clock()?,
        })
    }

    /// The guest's clock, with the host's time of day. Where KVM does not give both at one instant
    /// (before Linux 5.16, or with a time stamp counter that it does not trust), they are read one
    /// after the other.
    fn clock(&self) -> Result<kvm_clock_data, KvmError> {
        let mut clock = self.fd.get_clock().map_err(KvmError::of("KVM_GET_CLOCK"))?;
        if clock.flags & KVM_CLOCK_REALTIME == 0 {
            clock.realtime = time_of_day_ns();
        }
        Ok(clock)
    }

    /// Makes the state live. After the state of all vCPUs: what is pending goes to their local
    /// APICs. The clock goes on by as much as the host's time of day has since it was saved.
    ///
    /// # Errors
    ///
    /// [`RestoreError::Refused`] with the part that was refused.
    pub fn restore_chips(&self, state: &ChipsState) -> Result<(), RestoreError> {
        let chips = [
            ("master 8259", KVM_IRQCHIP_PIC_MASTER, state.pic_master.0.to_vec()),
            ("slave 8259", KVM_IRQCHIP_PIC_SLAVE, state.pic_slave.0.to_vec()),
            ("IOAPIC", KVM_IRQCHIP_IOAPIC, state.ioapic.bytes()),
        ];
        for (part, chip_id, bytes) in chips {
            let chip = chip_of(chip_id, &bytes);
            refused(part, "KVM_SET_IRQCHIP", self.fd.set_irqchip(&chip))?;
        }
        refused("8254", "KVM_SET_PIT2", self.fd.set_pit2(&state.pit))?;
        let flags = state.clock.flags & KVM_CLOCK_REALTIME;
        let realtime = state.clock.realtime;
        let passed = match flags {
            0 => time_of_day_ns().saturating_sub(realtime),
            _ => 0,
        };
        let clock = state.clock.clock.saturating_add(passed);
        let clock = kvm_clock_data { clock, flags, realtime, ..Default::default() };
        refused("clock", "KVM_SET_CLOCK", self.fd.set_clock(&clock))
    }

    /// The bytes of one interrupt controller.
    fn chip(&self, chip_id: u32) -> Result<[u8; 512], KvmError> {
        let mut chip = kvm_irqchip { chip_id, ..Default::default() };
        self.fd.get_irqchip(&mut chip).map_err(KvmError::of("KVM_GET_IRQCHIP"))?;
        // SAFETY: the field covers the union, all of which was initialised, by the default or by
        // KVM, and it has no invalid bit patterns.
        Ok(unsafe { chip.chip.dummy }.map(|byte| byte as u8))
    }
}

/// Nanoseconds since 1970.
fn time_of_day_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn chip_of(chip_id: u32, bytes: &[u8]) -> kvm_irqchip {
    let mut chip = kvm_irqchip { chip_id, ..Default::default() };
    let mut all = [0; 512];
    for (to, from) in all.iter_mut().zip(bytes) {
        *to = *from as std::ffi::c_char;
    }
    chip.chip.dummy = all;
    chip
}

fn leading<const N: usize>(bytes: &[u8; 512]) -> [u8; N] {
    std::array::from_fn(|i| bytes[i])
}

impl IoapicState {
    fn read(bytes: &[u8; 512]) -> IoapicState {
        let u32_at = |at| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let u64_at = |at| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        IoapicState {
            base_address: u64_at(0),
            selected: u32_at(8),
            id: u32_at(12),
            asserted: u32_at(16),
            redirections: std::array::from_fn(|input| u64_at(IOAPIC_HEADER_LEN + input * 8)),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.base_address.to_le_bytes().to_vec();
        for word in [self.selected, self.id, self.asserted, 0] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(self.redirections.iter().flat_map(|entry| entry.to_le_bytes()));
        bytes
    }
}

impl Host {
    /// Whether guests can have the in-kernel interrupt controllers, 8254 and event lines that a
    /// Linux guest needs.
    ///
    /// # Errors
    ///
    /// [`HostError::MissingCapability`](super::HostError::MissingCapability) names the first that is
    /// missing.
    pub fn check_chips(&self) -> Result<(), super::HostError> {
        use kvm_ioctls::Cap;
        let needed = [
            (Cap::Irqchip, "KVM_CAP_IRQCHIP", "2.6.26"),
            (Cap::Pit2, "KVM_CAP_PIT2", "2.6.31"),
            (Cap::PitState2, "KVM_CAP_PIT_STATE2", "2.6.32"),
            (Cap::Irqfd, "KVM_CAP_IRQFD", "2.6.32"),
            (Cap::AdjustClock, "KVM_CAP_ADJUST_CLOCK", "2.6.33"),
        ];
        for (cap, capability, since) in needed {
            if !self.kvm().check_extension(cap) {
                return Err(super::HostError::MissingCapability { capability, since });
            }
        }
        Ok(())
    }
}
