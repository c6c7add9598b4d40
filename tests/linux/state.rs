//! The state of a PC before and after a copy, field by field.

use std::ops::Range;

use pincow_vmm::boot::linux::layout::{GENERATION_IRQ, SERIAL_IRQ};
use pincow_vmm::kvm::{ChipsState, VcpuState};
use pincow_vmm::machine::MachineState;

use super::console::{Console, type_line};
use crate::Lab;

/// In the flags of a clock: KVM trusts the host's time stamp counter.
const KVM_CLOCK_TSC_STABLE: u32 = 1 << 1;

/// What goes on by itself: time stamp counter, APERF and MPERF, and clocks of Hyper-V.
const CLOCKS: [u32; 5] = [0x10, 0xe7, 0xe8, 0x4000_0010, 0x4000_0020];
/// SYSENTER_ESP and _EIP. On AMD KVM takes 32 bits of them: SYSENTER does not exist there in long
/// mode, and has 32 bits elsewhere.
const SYSENTER: [u32; 2] = [0x175, 0x176];
/// Registers of the local APIC (Intel SDM volume 3, table 11-1): the processor priority, which follows from others
/// and which KVM works out when it needs it, what is requested, and the current count.
const PRIORITY: Range<usize> = 0xa0..0xa4;
const REQUESTED: Range<usize> = 0x200..0x280;
const CURRENT_COUNT: Range<usize> = 0x390..0x394;

/// The inputs of interrupt controllers on which a copy is interrupted by itself: it is told that it is one, and its
/// serial port raises again what it has to say.
const TOLD: [u32; 2] = [GENERATION_IRQ, SERIAL_IRQ];
const TOLD_LINES: u8 = 1 << GENERATION_IRQ | 1 << SERIAL_IRQ;

/// The bit of a vector in the byte at an offset in the local APIC, if it is there: 32 vectors have a register, 16
/// bytes apart.
fn requested(vector: u8, offset: usize) -> u8 {
    let place = REQUESTED.start + usize::from(vector / 32) * 16 + usize::from(vector % 32) / 8;
    if offset == place { 1 << (vector % 8) } else { 0 }
}

/// A vCPU of a copy, which may have been interrupted already by one of `told`.
fn same_vcpu(number: usize, now: &VcpuState, then: &VcpuState, told: [u8; 2]) {
    assert_eq!(now.regs, then.regs, "vCPU {number}");
    assert_eq!(now.sregs, then.sregs, "vCPU {number}");
    assert_eq!(now.debug_regs, then.debug_regs, "vCPU {number}");
    assert_eq!(now.events, then.events, "vCPU {number}");
    assert_eq!(now.mp_state, then.mp_state, "vCPU {number}");
    assert_eq!(now.xcrs, then.xcrs, "vCPU {number}");
    assert!(now.xsave == then.xsave, "vCPU {number}: XSAVE areas differ");
    assert_eq!(now.msrs.len(), then.msrs.len());
    for (now, then) in now.msrs.iter().zip(&then.msrs) {
        assert_eq!(now.index, then.index);
        let (now_value, then_value) = match now.index {
            index if CLOCKS.contains(&index) => continue,
            index if SYSENTER.contains(&index) => {
                (now.value as u32 as u64, then.value as u32 as u64)
            }
            _ => (now.value, then.value),
        };
        assert_eq!(now_value, then_value, "vCPU {number}: MSR {:#x}", now.index);
    }
    let (now, then) = (now.lapic.expect("a local APIC"), then.lapic.expect("a local APIC"));
    for (offset, (&now, &then)) in now.regs.iter().zip(&then.regs).enumerate() {
        if !CURRENT_COUNT.contains(&offset) && !PRIORITY.contains(&offset) {
            let told = told.iter().fold(0, |bits, vector| bits | requested(*vector, offset));
            let wanted = then as u8 | (now as u8 & told);
            assert_eq!(now as u8, wanted, "vCPU {number}: local APIC, byte {offset:#x}");
        }
    }
}

fn same_machine(now: &MachineState, then: &MachineState) {
    assert_eq!(now.serial, then.serial);
    assert_eq!(now.vcpus.len(), then.vcpus.len());
    let chips = &then.pc.as_ref().expect("a PC").chips;
    // The vector is the lowest byte (82093AA data sheet, 3.2.4).
    let told = TOLD.map(|irq| chips.ioapic.redirections[irq as usize] as u8);
    for (number, (now, then)) in now.vcpus.iter().zip(&then.vcpus).enumerate() {
        same_vcpu(number, &now.state, &then.state, told);
    }
    let offsets = now.vcpus.iter().zip(&then.vcpus);
    let tsc_offsets: Vec<_> =
        offsets.map(|(now, then)| (now.state.tsc_offset, then.state.tsc_offset)).collect();
    let (now, then) = (now.pc.as_ref().expect("a PC"), then.pc.as_ref().expect("a PC"));
    // Where KVM does not trust the host's counter, it moves the distance whenever a vCPU is loaded.
    let stable = then.chips.clock.flags & KVM_CLOCK_TSC_STABLE != 0;
    for (number, (now, then)) in tsc_offsets.into_iter().enumerate() {
        assert!(!stable || now == then, "vCPU {number}: {now:x?} and {then:x?}");
    }
    assert_eq!(now.devices, then.devices);
    // These lines may be up in one of both, since an edge is a kernel thread's work: last_irr, irr (struct
    // kvm_pic_state).
    let still = |chips: &ChipsState| {
        let mut pic = chips.pic_master;
        pic.0.iter_mut().take(2).for_each(|lines| *lines &= !TOLD_LINES);
        let mut ioapic = chips.ioapic.clone();
        ioapic.asserted &= !u32::from(TOLD_LINES);
        (pic, chips.pic_slave, ioapic)
    };
    assert_eq!(still(&now.chips), still(&then.chips));
    assert!(now.chips.clock.clock >= then.chips.clock.clock, "the clock goes back");
    for (now, then) in now.chips.pit.channels.iter().zip(&then.chips.pit.channels) {
        let mut now = *now;
        // When the count was loaded, by the host's clock: KVM loads it anew.
        now.count_load_time = then.count_load_time;
        assert_eq!(now, *then);
    }
}

#[test]
fn a_copy_has_the_state_of_its_original() {
    let Some(lab) = Lab::new() else { return };
    let (guest, console) = lab.boot(&lab.linux("vmlinux", None), 2, Vec::new());
    for round in 0..6 {
        console.ask(&guest, "sleep 1");
        // In every other round the serial port is at work.
        let from = console.text().len();
        if round % 2 == 1 {
            type_line(&guest, "seq 1000");
            console.wait_for(&format!("\n{}\r", 50 * round), from);
        }
        let (snapshot, _) = guest.snapshot().expect("a snapshot");
        let copy = snapshot.spawn(Console::default().sink()).expect("a copy");
        let saved = copy.machine().pause().expect("not ended").save().expect("readable");
        same_machine(&saved, snapshot.state());
        println!("round {round}: {} MSRs of each vCPU", saved.vcpus[0].state.msrs.len());
    }
}
