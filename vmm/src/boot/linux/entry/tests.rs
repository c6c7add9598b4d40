use super::*;

#[test]
fn the_64_bit_entry_is_in_long_mode_with_flat_segments() {
    let mut sregs = kvm_sregs::default();
    set_mode(&mut sregs, Protocol::Linux64);
    assert_eq!((sregs.cs.l, sregs.cs.db, sregs.cs.selector, sregs.ds.selector), (1, 0, 0x10, 0x18));
    assert_eq!((sregs.cr3, sregs.efer), (paging::PML4, EFER_LONG));
    assert_ne!(sregs.cr0 & CR0_PG, 0);
    assert_eq!(u32::from(sregs.gdt.limit), 5 * 8 - 1);
}

#[test]
fn pvh_is_entered_in_32_bits_without_paging() {
    let mut sregs = kvm_sregs::default();
    set_mode(&mut sregs, Protocol::Pvh);
    assert_eq!((sregs.cs.l, sregs.cs.db, sregs.cs.limit), (0, 1, u32::MAX));
    assert_eq!((sregs.cr0 & (CR0_PE | CR0_PG), sregs.cr4, sregs.efer), (CR0_PE, 0, 0));
    assert_eq!((sregs.tr.limit, sregs.tr.type_), (0x67, 0xb));
}

#[test]
fn the_descriptors_say_what_the_segments_are() {
    for protocol in [Protocol::Linux64, Protocol::Pvh] {
        let table = descriptors(protocol);
        let mut sregs = kvm_sregs::default();
        set_mode(&mut sregs, protocol);
        for segment in [sregs.cs, sregs.ds] {
            let descriptor = table[usize::from(segment.selector / 8)];
            assert_eq!((descriptor >> 40 & 0xf) as u8, segment.type_);
            assert_eq!((descriptor >> 53 & 1) as u8, segment.l);
            assert_eq!((descriptor >> 54 & 1) as u8, segment.db);
        }
    }
}
