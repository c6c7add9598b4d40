//! What the kernel says, after something was done that it must notice.

use std::fs::File;
use std::hint::black_box;

use super::*;

const BYTES: usize = 64 << 20;
const FILES: usize = 500;

/// Other tests of this process go on meanwhile, and take and give back: what is looked for is large, and looked for
/// more than once.
fn is_noticed(look: impl Fn() -> bool) -> bool {
    (0..20).any(|_| look())
}

#[test]
fn memory_of_this_process_is_noticed() {
    assert!(is_noticed(|| {
        let before = ProcessUse::now().unwrap();
        let memory = black_box(vec![1_u8; BYTES]);
        let added = ProcessUse::now().unwrap().since(&before);
        drop(memory);
        added.anonymous_bytes.min(added.pss_bytes) >= BYTES as u64 / 2
    }));
}

#[test]
fn descriptors_of_this_process_are_noticed() {
    assert!(is_noticed(|| {
        let before = ProcessUse::now().unwrap();
        let files: Vec<_> = (0..FILES).map(|_| File::open("/proc/self/status").unwrap()).collect();
        let added = ProcessUse::now().unwrap().since(&before);
        drop(files);
        added.descriptors >= FILES as u64 / 2
    }));
}

#[test]
fn a_process_has_threads_mappings_and_page_tables() {
    let ProcessUse { threads, mappings, page_table_bytes, .. } = ProcessUse::now().unwrap();
    assert!(threads >= 1 && mappings > 10 && page_table_bytes > 0);
    assert!(HostUse::now().unwrap().available_bytes > 0);
}

#[test]
fn a_figure_is_found_by_its_whole_name() {
    let text = "Pss_Anon:  7 kB\nPss:   238 kB\nThreads:\t3\n".to_owned();
    let figures = Figures { path: "figures", text };
    assert_eq!(figures.bytes("Pss").unwrap(), 238 << 10);
    assert_eq!(figures.number("Threads").unwrap(), 3);
    assert_eq!(figures.number("Ps").unwrap_err().to_string(), "figures has no Ps");
}
