//! On the real `/dev/kvm`: where it exists, it must work; where it does not, tests say so.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use vmm_sys_util::signal::{Killable, SIGRTMIN, register_signal_handler};

use super::*;

/// The host, or `None` on a machine without KVM, where a test has nothing to test.
pub(crate) fn host() -> Option<Arc<Host>> {
    if !Path::new("/dev/kvm").exists() {
        eprintln!("skipped: there is no /dev/kvm here");
        return None;
    }
    Some(Arc::new(Host::open().expect("/dev/kvm exists, so it must be usable for these tests")))
}

#[test]
fn a_missing_device_is_named_with_what_to_do() {
    let error = Host::open_at(Path::new("/dev/no-such-kvm")).err().unwrap();
    assert_eq!(error, HostError::NoDevice { path: "/dev/no-such-kvm".into() });
    assert!(error.to_string().contains("sudo modprobe"), "{error}");
}

#[test]
fn a_device_that_is_not_kvm_is_refused() {
    let error = Host::open_at(Path::new("/dev/null")).err().unwrap();
    assert_eq!(error, HostError::ApiVersion { path: "/dev/null".into(), found: -1 });
}

#[test]
fn a_closed_device_is_named_with_its_mode_and_the_command() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::set_permissions(file.path(), Permissions::from_mode(0o600)).unwrap();
    let path = file.path().display().to_string();
    let error = host::no_permission(file.path(), path.clone());
    let text = error.to_string();
    assert!(text.contains("mode 0600"), "{text}");
    assert!(text.contains(&format!("sudo chmod o+rw {path}")), "{text}");
}

#[test]
fn the_host_says_what_a_vcpu_is_made_of() {
    let Some(host) = host() else { return };
    assert!(!host.saved_msrs().is_empty());
    assert!(host.saved_msrs().is_sorted());
    assert!(host.xsave_len_bytes() >= 4096);
    assert!(host.max_vcpus() >= 1);
    println!("MSRs saved: {}, refused: {:x?}", host.saved_msrs().len(), host.refused_msrs());
}

#[test]
fn guests_are_not_offered_asynchronous_page_faults() {
    let Some(host) = host() else { return };
    let features = host.cpuid().as_slice().iter().find(|e| e.function == 0x4000_0001);
    assert!(features.is_none_or(|e| e.eax & (1 << 4 | 1 << 10 | 1 << 14) == 0));
}

#[test]
fn a_state_survives_saving_setting_and_saving_again() {
    let Some(host) = host() else { return };
    let vm = Vm::new(&host).unwrap();
    let vcpu = vm.create_vcpu(&host, 0, Vcpus::ONE).unwrap();
    {
        let fd = vcpu.lock();
        let mut regs = fd.get_regs().unwrap();
        (regs.rax, regs.r15, regs.rip) = (0x1234, u64::MAX, 0x4_0000);
        fd.set_regs(&regs).unwrap();
    }
    let saved = VcpuState::save(&host, &vcpu, false).unwrap();
    let other_vm = Vm::new(&host).unwrap();
    let other = other_vm.create_vcpu(&host, 0, Vcpus::ONE).unwrap();
    saved.restore(&host, &other).unwrap();
    assert_same(&VcpuState::save(&host, &other, false).unwrap(), &saved);
}

#[test]
fn a_state_survives_serialisation() {
    let Some(host) = host() else { return };
    let vm = Vm::new(&host).unwrap();
    let vcpu = vm.create_vcpu(&host, 0, Vcpus::ONE).unwrap();
    let saved = VcpuState::save(&host, &vcpu, false).unwrap();
    let text = serde_json::to_string(&saved).unwrap();
    assert_eq!(serde_json::from_str::<VcpuState>(&text).unwrap(), saved);
}

#[test]
fn a_wrong_state_is_refused_by_the_part_that_is_wrong() {
    let Some(host) = host() else { return };
    let vm = Vm::new(&host).unwrap();
    let vcpu = vm.create_vcpu(&host, 0, Vcpus::ONE).unwrap();
    let good = VcpuState::save(&host, &vcpu, false).unwrap();
    let refusal = |change: &dyn Fn(&mut VcpuState)| {
        let mut state = good.clone();
        change(&mut state);
        state.restore(&host, &vcpu).err()
    };
    assert_eq!(
        refusal(&|s| s.version = 7),
        Some(RestoreError::Version { found: 7, supported: VcpuState::VERSION })
    );
    assert!(matches!(refusal(&|s| s.xsave.truncate(3)), Some(RestoreError::XsaveLength { .. })));
    assert!(matches!(refusal(&|s| s.xsave.push(3)), Some(RestoreError::XsaveLength { .. })));
    let unknown = MsrValue { index: 0xdead_beef, value: 0 };
    assert_eq!(
        refusal(&|s| s.msrs.push(unknown)),
        Some(RestoreError::UnknownMsr { index: 0xdead_beef })
    );
    // Paging without protection does not exist.
    let bad_cr0 = refusal(&|s| s.sregs.cr0 = 1 << 31);
    assert!(
        matches!(bad_cr0, Some(RestoreError::Refused { part: "special registers", .. })),
        "{bad_cr0:?}"
    );
    good.restore(&host, &vcpu).unwrap();
}

/// KVM_CREATE_VM gives up where a signal is pending.
#[test]
fn a_machine_is_made_however_often_its_maker_is_interrupted() {
    let Some(host) = host() else { return };
    extern "C" fn ignore(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}
    let signal = SIGRTMIN() + 7;
    register_signal_handler(signal, ignore).unwrap();
    let maker = std::thread::spawn(move || {
        (0..200).map(|_| Vm::new(&host).map(drop)).collect::<Result<Vec<_>, _>>()
    });
    while !maker.is_finished() {
        // A thread that is over just now cannot be told any more.
        let _ = maker.kill(signal);
        std::thread::sleep(Duration::from_micros(200));
    }
    assert_eq!(maker.join().unwrap().map(|made| made.len()), Ok(200));
}

/// Where it is not, KVM gives a vCPU another TSC offset whenever a thread takes it up
/// (kvm_arch_vcpu_load), so that offsets are nothing that lasts.
fn tsc_is_stable() -> bool {
    const CLOCKS: &str = "/sys/devices/system/clocksource/clocksource0/available_clocksource";
    let clocks = std::fs::read_to_string(CLOCKS).expect("Linux has clocks");
    clocks.split_whitespace().any(|clock| clock == "tsc")
}

/// Time stamp counters, what is derived from them, and Hyper-V's run time of a vCPU (0x4000_0010, which
/// only some hosts list) go on by themselves.
pub(crate) fn assert_same(now: &VcpuState, then: &VcpuState) {
    const CLOCKS: [u32; 5] = [0x10, 0xe7, 0xe8, 0x4000_0010, 0x4000_0020];
    assert_eq!(now.version, then.version);
    assert_eq!(now.regs, then.regs);
    assert_eq!(now.sregs, then.sregs);
    assert_eq!(now.debug_regs, then.debug_regs);
    assert_eq!(now.events, then.events);
    assert_eq!(now.mp_state, then.mp_state);
    assert_eq!(now.tsc_offset.is_some(), then.tsc_offset.is_some());
    if tsc_is_stable() {
        assert_eq!(now.tsc_offset, then.tsc_offset);
    }
    assert_eq!(now.xcrs, then.xcrs);
    assert!(now.xsave == then.xsave, "XSAVE areas differ");
    assert_eq!(now.lapic, then.lapic);
    assert_eq!(now.msrs.len(), then.msrs.len());
    for (now, then) in now.msrs.iter().zip(&then.msrs) {
        assert_eq!(now.index, then.index);
        if !CLOCKS.contains(&now.index) {
            assert_eq!(now.value, then.value, "MSR {:#x}", now.index);
        }
    }
}
