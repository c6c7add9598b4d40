use super::*;

fn entry(function: u32, registers: [u32; 4]) -> kvm_cpuid_entry2 {
    let [eax, ebx, ecx, edx] = registers;
    kvm_cpuid_entry2 { function, eax, ebx, ecx, edx, ..Default::default() }
}

fn common() -> CpuId {
    let all = u32::MAX;
    CpuId::from_entries(&[
        entry(0x1, [0, 0x1234_5678, 0, 0]),
        entry(0x4, [0x121, 0, 0, 0]),
        entry(0x4, [0x163, 0, 0, 0]),
        entry(0xb, [all; 4]),
        entry(0x8000_0008, [0, 0, 0xffff_ffff, 0]),
        entry(0x8000_001e, [all; 4]),
    ])
    .unwrap()
}

fn find(cpuid: &CpuId, function: u32, index: u32) -> kvm_cpuid_entry2 {
    let wanted = |e: &&kvm_cpuid_entry2| e.function == function && e.index == index;
    *cpuid.as_slice().iter().find(wanted).unwrap()
}

#[test]
fn four_vcpus_are_four_cores_of_one_package() {
    let vcpus = Vcpus { count: 4, tsc_deadline: true };
    let cpuid = for_vcpu(&common(), 3, vcpus).unwrap();
    let leaf_1 = find(&cpuid, 1, 0);
    assert_eq!((leaf_1.ebx, leaf_1.ecx), (0x0304_5678, TSC_DEADLINE));
    assert_ne!(leaf_1.edx & 1 << 28, 0);
    let (threads, cores, end) = (find(&cpuid, 0xb, 0), find(&cpuid, 0xb, 1), find(&cpuid, 0xb, 2));
    assert_eq!([threads.eax, threads.ebx, threads.ecx, threads.edx], [0, 1, 0x100, 3]);
    assert_eq!([cores.eax, cores.ebx, cores.ecx, cores.edx], [2, 4, 0x201, 3]);
    assert_eq!([end.eax, end.ebx, end.ecx, end.edx], [0, 0, 2, 3]);
    assert_eq!(find(&cpuid, 0x8000_0008, 0).ecx, 0xffff_0f00 | 2 << 12 | 3);
    let node = find(&cpuid, 0x8000_001e, 0);
    assert_eq!([node.eax, node.ebx, node.ecx], [3, 3, 0]);
    let caches: Vec<u32> =
        cpuid.as_slice().iter().filter(|e| e.function == 4).map(|e| e.eax).collect();
    assert_eq!(caches, [3 << 26 | 0x121, 3 << 26 | 3 << 14 | 0x163]);
}

#[test]
fn one_vcpu_is_alone() {
    let cpuid = for_vcpu(&common(), 0, Vcpus::ONE).unwrap();
    let leaf_1 = find(&cpuid, 1, 0);
    assert_eq!((leaf_1.ebx, leaf_1.ecx, leaf_1.edx & 1 << 28), (0x0001_5678, 0, 0));
    let cores = find(&cpuid, 0xb, 1);
    assert_eq!([cores.eax, cores.ebx, cores.ecx], [0, 1, 0x201]);
    assert!(cpuid.as_slice().iter().all(|e| e.function != 0x1f), "a leaf that the host lacks");
}

#[test]
fn what_a_copy_could_not_go_on_with_is_not_offered() {
    let all = [u32::MAX; 4];
    let mut entries = [0x1, 0x8000_0001, KVM_FEATURES_LEAF, 0x7].map(|leaf| entry(leaf, all));
    entries[0].ecx &= !HYPERVISOR;
    offer(&mut entries);
    assert_eq!(entries[0].ecx, !VMX, "a hypervisor, and no VMX");
    assert_eq!(entries[1].ecx, !SVM);
    // Bits 4, 10 and 14 are asynchronous page faults, 7 is the kick of a vCPU that waits for a lock.
    assert_eq!(entries[2].eax, !0x4490);
    assert_eq!(entries[3].eax, u32::MAX);
}
