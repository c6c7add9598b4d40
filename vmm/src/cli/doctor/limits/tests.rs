//! Reading the kernel's tables.

use super::*;

#[test]
fn the_soft_limit_counts() {
    let table = "Limit      Soft Limit  Hard Limit  Units\n\
                 Max open files            1024                 524288               files\n";
    assert_eq!(open_files(table), Some(1024));
    assert_eq!(open_files("Max open files   unlimited   unlimited   files\n"), None);
    assert_eq!(open_files(""), None);
}

#[test]
fn memory_is_counted_in_bytes() {
    assert_eq!(available_bytes("MemTotal: 9 kB\nMemAvailable:   12 kB\n"), 12 * 1024);
    assert_eq!(available_bytes(""), 0);
}

#[test]
fn this_host_has_limits() {
    let limits = Limits::of(&HostFeatures::probe());
    assert!(limits.max_map_count > 0 && limits.memory_bytes > limits.available_bytes);
    assert!(limits.guests_by_mappings > limits.guests_by_mappings_torn);
}
