#![expect(unsafe_code, reason = "tests make up regions that nobody uses")]

use super::*;

fn regions(list: &[(usize, usize)]) -> Buffers {
    let regions = list
        .iter()
        .map(|&(address, len_bytes)| Region { address: address as *mut u8, len_bytes })
        .collect();
    // SAFETY: nobody uses the addresses.
    unsafe { Buffers::new(regions, Arc::new(())) }
}

fn list(buffers: &Buffers) -> Vec<(usize, usize)> {
    buffers.regions().iter().map(|region| (region.address as usize, region.len_bytes)).collect()
}

#[test]
fn a_slice_cuts_regions_at_both_ends() {
    let buffers = regions(&[(0x1000, 10), (0x2000, 0), (0x3000, 5), (0x4000, 7)]);
    assert_eq!(buffers.len_bytes(), 22);
    assert_eq!(list(&buffers.slice(0..22)), [(0x1000, 10), (0x3000, 5), (0x4000, 7)]);
    assert_eq!(list(&buffers.slice(9..16)), [(0x1009, 1), (0x3000, 5), (0x4000, 1)]);
    assert_eq!(list(&buffers.slice(10..15)), [(0x3000, 5)]);
    assert_eq!(list(&buffers.slice(12..13)), [(0x3002, 1)]);
    assert_eq!(list(&buffers.slice(21..usize::MAX)), [(0x4006, 1)]);
    assert!(list(&buffers.slice(22..30)).is_empty());
    assert!(list(&buffers.slice(5..5)).is_empty());
}

#[test]
fn alignment_is_of_addresses_and_lengths() {
    assert!(regions(&[(0x1000, 512), (0x1200, 1024)]).is_aligned(512));
    assert!(!regions(&[(0x1001, 512)]).is_aligned(512));
    assert!(!regions(&[(0x1000, 512), (0x1200, 100)]).is_aligned(512));
    assert!(Buffers::empty().is_aligned(4096));
}

#[test]
fn slices_keep_what_holds_the_memory() {
    let held = Arc::new(());
    // SAFETY: there are no addresses.
    let buffers = unsafe { Buffers::new(Vec::new(), held.clone()) };
    let slice = buffers.slice(0..1);
    drop(buffers);
    assert_eq!(Arc::strong_count(&held), 2);
    drop(slice);
    assert_eq!(Arc::strong_count(&held), 1);
}
