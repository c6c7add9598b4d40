//! From modules and flags to a kind.

use super::*;

#[test]
fn the_kind_follows_from_the_module_and_the_cpu() {
    assert_eq!(kind(&["kvm_amd"], false), Kind::Hardware);
    assert_eq!(kind(&["kvm_intel"], true), Kind::Nested);
    assert_eq!(kind(&["kvm_pvm"], true), Kind::Software);
    assert_eq!(kind(&[], true), Kind::Unknown);
}

#[test]
fn who_pages_follows_from_the_parameters() {
    let of = |module, name: &str, value: &str| {
        paging(&[module], &BTreeMap::from([(name.to_owned(), value.to_owned())]))
    };
    assert_eq!(of("kvm_amd", "kvm_amd.npt", "Y"), Paging::Npt);
    assert_eq!(of("kvm_amd", "kvm_amd.npt", "N"), Paging::Shadow);
    assert_eq!(of("kvm_intel", "kvm_intel.ept", "Y"), Paging::Ept);
    assert_eq!(of("kvm_pvm", "kvm_pvm.nested", "Y"), Paging::Shadow);
    assert_eq!(paging(&[], &BTreeMap::new()), Paging::Unknown);
}

#[test]
fn flags_are_whole_words() {
    assert_eq!(cpu_flags("flags\t\t: fpu svm hypervisor\n"), ["svm", "hypervisor"]);
    assert_eq!(cpu_flags("flags: svm_lock vmxx\n").len(), 0);
    assert_eq!(cpu_flags("model: vmx\n").len(), 0);
}

#[test]
fn this_host_answers_in_time() {
    let Some(host) = crate::kvm::tests::host() else { return };
    let ring0 = in_time(&host, probe_guest::ring0).expect("an answer");
    println!("{ring0:?}");
    assert_ne!(ring0, Ring0::Hangs);
    let exits = in_time(&host, probe_guest::exits).flatten().expect("exits");
    assert!(exits.p50 > 0.0 && exits.p50 <= exits.p99);
    let doorbell = in_time(&host, doorbell::cost).flatten().expect("doorbells");
    assert!(doorbell.as_exit_us.p50 > 0.0);
    assert_eq!(doorbell.in_kernel_us.is_some(), host.has_ioeventfd());
}
