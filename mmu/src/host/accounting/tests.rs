//! Lines as the kernel writes them, and a mapping of our own.

use super::*;
use crate::gfn::{Gfn, PAGE_SIZE, Run};
use crate::host::mapping::Mapping;
use crate::host::store::Store;
use vm_memory::Bytes;

#[test]
fn a_line_of_maps_is_understood() {
    let line = "7ff96fd46000-7ff96fd4a000 rw-s 00005000 00:01 24   /memfd:pincow-layer (deleted)";
    let expected = HostMapping {
        addresses: 0x7ff9_6fd4_6000..0x7ff9_6fd4_a000,
        permissions: "rw-s".into(),
        offset: 0x5000,
        inode: 24,
    };
    assert_eq!(mapping(line), Some(expected));
    assert_eq!(mapping("Pss:                   4 kB"), None);
    assert_eq!(mapping("VmFlags: rd wr sh mr mw me ms"), None);
}

#[test]
fn a_stores_own_mapping_is_found_and_charged() {
    let store = Store::new(256).expect("store");
    let run = Run::new(0, 256);
    store.slice(Run::new(8, 12)).write_slice(&[1; 4 * PAGE_SIZE], 0).expect("in range");
    let start = store.address(Gfn(0)) as usize;
    let addresses = start..start + run.len_bytes();
    let found = mappings_in(addresses.clone()).expect("maps");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].addresses, addresses);
    assert_eq!((found[0].offset, found[0].inode), (0, store.inode().expect("fstat")));
    assert_eq!(pss_bytes(addresses).expect("smaps"), 4 * PAGE_SIZE as u64);
}

#[test]
fn copies_of_each_private_mapping_are_told_apart() {
    let store = Store::new(64).expect("store");
    store.slice(Run::new(0, 64)).write_slice(&[1; 64 * PAGE_SIZE], 0).expect("in range");
    let private = |pages: u32| {
        let mapping = Mapping::reserve(64 * PAGE_SIZE).expect("addresses");
        mapping.show_private(store.file().expect("a memfd"), mapping.all()).expect("mmap");
        mapping.populate(Run::new(0, pages)).expect("a copy of each");
        mapping
    };
    let _mappings = [0, 3, 64].map(private);
    let mut copied = anonymous_bytes_of(store.inode().expect("fstat")).expect("smaps");
    copied.sort_unstable();
    // The store's own mapping is shared, so that nothing is ever copied in it.
    assert_eq!(copied, [0, 0, 3, 64].map(|pages| pages * PAGE_SIZE as u64));
}
