//! The probe on this host, and what a poorer one would be told.

use super::*;

#[test]
fn this_host_can_run_the_trap_backing() {
    let features = HostFeatures::probe();
    features.require_trap().expect("these tests need userfaultfd");
    assert!(features.wp_shmem && features.missing_shmem, "{features:?}");
    assert!(!features.kernel.is_empty() && features.total_memory_bytes > 1 << 20);
    assert!(features.max_map_count > features.mappings_in_use && features.mappings_in_use > 10);
}

#[test]
fn a_kernel_of_6_7_or_later_has_all_that_is_asked_for() {
    let features = HostFeatures::probe();
    let mut numbers = features.kernel.split('.').map(|word| word.parse::<u32>().unwrap_or(0));
    let version = (numbers.next(), numbers.next());
    if version >= (Some(6), Some(7)) {
        assert!(features.pagemap_scan && features.process_madvise && features.memfd_noexec_seal);
        assert!(features.poison && features.wp_unpopulated && features.minor_shmem);
    }
}

#[test]
fn what_is_missing_is_named_with_the_version_that_has_it() {
    let old = HostFeatures { wp_shmem: false, kernel: "5.10.0".into(), ..HostFeatures::probe() };
    let text = old.require_trap().expect_err("too old").to_string();
    assert!(text.contains("5.10.0") && text.contains("5.19"), "{text}");
    let refused =
        HostFeatures { userfaultfd_refused: Some("Run: x".into()), ..HostFeatures::probe() };
    assert_eq!(refused.require_trap(), Err(MissingFeature::Userfaultfd("Run: x".into())));
}

#[test]
fn what_the_host_copies_needs_is_named_too() {
    let features = HostFeatures::probe();
    features.require_host_cow().expect("these tests need /proc/self/pagemap");
    let old =
        HostFeatures { populate_write: false, kernel: "5.10.0".into(), ..HostFeatures::probe() };
    let text = old.require_host_cow().expect_err("too old").to_string();
    assert!(text.contains("5.10.0") && text.contains("5.14"), "{text}");
    let strict = HostFeatures { overcommit: false, ..features };
    let text = strict.require_host_cow().expect_err("strict").to_string();
    assert!(text.contains("vm.overcommit_memory") && text.contains("0 or 1"), "{text}");
}
