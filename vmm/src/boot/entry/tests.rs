use super::*;
use crate::boot::tests::memory;

#[test]
fn the_descriptors_in_ram_say_what_the_registers_say() {
    let memory = memory(0x10_0000);
    write_descriptors(&memory).unwrap();
    let mut sregs = kvm_sregs::default();
    set_ring_3(&mut sregs);
    for segment in [sregs.cs, sregs.ss, sregs.tr] {
        let at = GDT_BASE + u64::from(segment.selector & !7);
        let descriptor: u64 = memory.read_obj(GuestAddress(at)).unwrap();
        let access = descriptor >> 40;
        assert_eq!(access & 0xf, u64::from(segment.type_));
        assert_eq!(access >> 4 & 1, u64::from(segment.s));
        assert_eq!(access >> 5 & 3, u64::from(segment.dpl));
        assert_eq!(access >> 7 & 1, 1);
        assert_eq!(descriptor >> 53 & 1, u64::from(segment.l));
        assert_eq!(descriptor >> 54 & 1, u64::from(segment.db));
        assert_eq!(descriptor >> 55 & 1, u64::from(segment.g));
        let base = descriptor >> 16 & 0xff_ffff | (descriptor >> 56) << 24;
        assert_eq!(base, segment.base);
    }
    assert_eq!((sregs.cs.dpl, sregs.ss.dpl, sregs.idt.limit), (3, 3, 0));
}
