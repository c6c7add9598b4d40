//! On the real KVM, without running a guest: chips are asked and told directly.

use std::time::{Duration, Instant};

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::*;
use crate::kvm::tests::{assert_same, host};
use crate::kvm::{Vcpu, VcpuState, Vcpus};

const TSS: u64 = 0xfffb_d000;
const IDENTITY_MAP: u64 = 0xfffb_c000;
const ALL: Vcpus = Vcpus { count: 2, tsc_deadline: true };
const INPUT: u32 = 17;
const VECTOR: u8 = 0x51;

/// A machine with chips and two vCPUs.
fn machine(host: &Host) -> (Vm, [Vcpu; 2]) {
    let vm = Vm::new(host).unwrap();
    vm.create_chips(TSS, IDENTITY_MAP).unwrap();
    let vcpus = [0, 1].map(|index| vm.create_vcpu(host, index, ALL).unwrap());
    vcpus.iter().for_each(|vcpu| vcpu.wire_lapic().unwrap());
    (vm, vcpus)
}

/// The same, but for what goes on by itself or is set anew.
fn assert_same_chips(now: &ChipsState, then: &ChipsState) {
    let mut now = now.clone();
    assert!(now.clock.clock >= then.clock.clock, "the clock goes back");
    now.clock = then.clock;
    for (now, then) in now.pit.channels.iter_mut().zip(&then.pit.channels) {
        now.count_load_time = then.count_load_time;
    }
    assert_eq!(now, *then);
}

#[test]
fn chips_survive_saving_setting_and_saving_again() {
    let Some(host) = host() else { return };
    let (vm, _vcpus) = machine(&host);
    let mut state = vm.save_chips().unwrap();
    state.pic_master.0[5] = 0x20;
    state.pic_slave.0[2] = 0xfe;
    state.ioapic.redirections[5] = 0x0100_0000_0000_0051;
    (state.ioapic.selected, state.ioapic.id) = (7, 3);
    state.pit.channels[0].count = 0x1234;
    state.pit.channels[0].mode = 2;
    vm.restore_chips(&state).unwrap();
    let saved = vm.save_chips().unwrap();
    assert_eq!(saved.ioapic, state.ioapic);
    assert_eq!((saved.pic_master, saved.pic_slave), (state.pic_master, state.pic_slave));
    assert_eq!(saved.pit.channels[0].count, 0x1234);
    let (other, _other_vcpus) = machine(&host);
    other.restore_chips(&saved).unwrap();
    assert_same_chips(&other.save_chips().unwrap(), &saved);
    let text = serde_json::to_string(&saved).unwrap();
    assert_eq!(serde_json::from_str::<ChipsState>(&text).unwrap(), saved);
}

#[test]
fn vcpus_with_local_apics_survive_too() {
    let Some(host) = host() else { return };
    let (_vm, vcpus) = machine(&host);
    let (_other, others) = machine(&host);
    for (vcpu, other) in vcpus.iter().zip(&others) {
        let saved = VcpuState::save(&host, vcpu, true).unwrap();
        let lapic = saved.lapic.expect("asked for");
        assert_eq!(lapic.regs[0x351], 7, "LINT0 is ExtINT");
        assert_eq!(lapic.regs[0x361], 4, "LINT1 is NMI");
        saved.restore(&host, other).unwrap();
        assert_same(&VcpuState::save(&host, other, true).unwrap(), &saved);
    }
    // KVM_MP_STATE_RUNNABLE and _UNINITIALIZED: the second vCPU waits to be started.
    let run_state = |vcpu| VcpuState::save(&host, vcpu, true).unwrap().mp_state.mp_state;
    assert_eq!([run_state(&others[0]), run_state(&others[1])], [0, 1]);
}

/// Whether the vector waits in the vCPU's local APIC (SDM volume 3, table 11-1: IRR).
fn is_pending(vcpu: &Vcpu) -> bool {
    let lapic = vcpu.lock().get_lapic().unwrap();
    let word = 0x200 + usize::from(VECTOR / 32) * 16 + usize::from(VECTOR % 32 / 8);
    lapic.regs[word] as u8 & 1 << (VECTOR % 8) != 0
}

#[test]
fn an_event_becomes_an_interrupt_also_when_it_came_before_it_was_connected() {
    let Some(host) = host() else { return };
    for before in [false, true] {
        let (vm, vcpus) = machine(&host);
        {
            // Software-enabled (spurious interrupt vector register, bit 8).
            let fd = vcpus[0].lock();
            let mut lapic = fd.get_lapic().unwrap();
            lapic.regs[0xf1] |= 1;
            fd.set_lapic(&lapic).unwrap();
        }
        let mut state = vm.save_chips().unwrap();
        state.ioapic.redirections[INPUT as usize] = u64::from(VECTOR);
        vm.restore_chips(&state).unwrap();
        let event = EventFd::new(EFD_NONBLOCK).unwrap();
        if before {
            event.write(1).unwrap();
        }
        vm.connect(&event, INPUT).unwrap();
        if !before {
            assert!(!is_pending(&vcpus[0]));
            event.write(1).unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        while !is_pending(&vcpus[0]) {
            assert!(Instant::now() < deadline, "no interrupt (before: {before})");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!is_pending(&vcpus[1]));
    }
}

/// A state that was saved in the middle of an edge must not swallow the next one.
#[test]
fn an_edge_that_was_under_way_at_the_cut_does_not_hide_the_next() {
    let Some(host) = host() else { return };
    let (vm, vcpus) = machine(&host);
    let enabled = {
        let fd = vcpus[0].lock();
        let mut lapic = fd.get_lapic().unwrap();
        lapic.regs[0xf1] |= 1;
        fd.set_lapic(&lapic).unwrap();
        lapic
    };
    let mut state = vm.save_chips().unwrap();
    state.ioapic.redirections[INPUT as usize] = u64::from(VECTOR);
    state.ioapic.asserted = 1 << INPUT;
    vm.restore_chips(&state).unwrap();
    assert!(is_pending(&vcpus[0]), "the interrupt that was under way is lost");
    vcpus[0].lock().set_lapic(&enabled).unwrap();
    assert!(!is_pending(&vcpus[0]));
    let event = EventFd::new(EFD_NONBLOCK).unwrap();
    vm.connect(&event, INPUT).unwrap();
    event.write(1).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_pending(&vcpus[0]) {
        assert!(Instant::now() < deadline, "the next interrupt is lost");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_machine_without_chips_has_no_inputs() {
    let Some(host) = host() else { return };
    let vm = Vm::new(&host).unwrap();
    let event = EventFd::new(EFD_NONBLOCK).unwrap();
    let error = vm.connect(&event, INPUT).unwrap_err();
    assert_eq!(error.call, "KVM_IRQ_LINE");
}
