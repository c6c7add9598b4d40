use super::*;

#[test]
fn ranges_are_in_order_and_do_not_overlap() {
    for ram_bytes in [2 << 20, 64 << 20, 0xd000_0000] {
        let ranges = ranges(ram_bytes);
        for pair in ranges.windows(2) {
            assert!(pair[0].start + pair[0].len_bytes <= pair[1].start, "{pair:x?}");
        }
        let last = ranges[4];
        assert_eq!((last.kind, last.start + last.len_bytes), (Kind::Ram, ram_bytes));
        let ram: u64 = ranges.iter().filter(|r| r.kind == Kind::Ram).map(|r| r.len_bytes).sum();
        assert_eq!(ram, ram_bytes - (HIGH_RAM - LOW_RAM_END));
    }
}
