//! How the vCPUs of a guest are arranged: one package of as many cores, each with one thread, and
//! an APIC number that is the vCPU's number (Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E).

use super::{KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};

/// EDX of leaf 1: the package has more than one logical processor.
const HTT: u32 = 1 << 28;

/// Levels of leaves 0xb and 0x1f.
const LEVEL_THREAD: u32 = 1 << 8;
const LEVEL_CORE: u32 = 2 << 8;

/// Bits of an APIC number that tell the cores of a package apart.
fn core_bits(count: u32) -> u32 {
    count.next_power_of_two().trailing_zeros()
}

/// Makes `entries` tell that this is vCPU `index` of `count`.
pub(super) fn apply(entries: &mut Vec<kvm_cpuid_entry2>, index: u32, count: u32) {
    for entry in entries.iter_mut() {
        match entry.function {
            0x1 => {
                entry.ebx =
                    (entry.ebx & 0x0000_ffff) | count.min(0xff) << 16 | (index & 0xff) << 24;
                entry.edx = if count > 1 { entry.edx | HTT } else { entry.edx & !HTT };
            }
            // Caches: how many cores a package has, and that the last level is shared by all.
            0x4 if entry.eax & 0x1f != 0 => {
                let level = entry.eax >> 5 & 7;
                let sharing = if level >= 3 { count } else { 1 };
                let addressable = (1 << core_bits(count)) - 1;
                entry.eax = entry.eax & 0x3fff | (sharing - 1) << 14 | addressable << 26;
            }
            0x8000_0008 => {
                entry.ecx = entry.ecx & !0xf0ff | core_bits(count) << 12 | (count - 1) & 0xff;
            }
            0x8000_001d if entry.eax & 0x1f != 0 => {
                let level = entry.eax >> 5 & 7;
                let sharing = if level >= 3 { count } else { 1 };
                entry.eax = entry.eax & 0x3fff | (sharing - 1) << 14;
            }
            // Extended APIC number; core number, one thread a core; node 0 of 1.
            0x8000_001e => (entry.eax, entry.ebx, entry.ecx) = (index, index & 0xff, 0),
            _ => {}
        }
    }
    for leaf in [0xb, 0x1f] {
        replace_levels(entries, leaf, index, count);
    }
}

/// Leaves 0xb and 0x1f have an entry for each level. Where the host has the leaf, its levels are
/// those of the guest.
fn replace_levels(entries: &mut Vec<kvm_cpuid_entry2>, leaf: u32, index: u32, count: u32) {
    let before = entries.len();
    entries.retain(|entry| entry.function != leaf);
    if entries.len() == before {
        return;
    }
    let levels = [(0, 1, LEVEL_THREAD), (core_bits(count), count, LEVEL_CORE), (0, 0, 0)];
    for (number, (eax, ebx, kind)) in (0..).zip(levels) {
        entries.push(kvm_cpuid_entry2 {
            function: leaf,
            index: number,
            flags: KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
            eax,
            ebx,
            ecx: number | kind,
            edx: index,
            ..Default::default()
        });
    }
}
