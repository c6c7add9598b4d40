use super::*;
use crate::boot::tests::memory;

/// Walks the tables as the CPU does; `None` where it would fault.
fn translate(memory: &WindowMemory, address: u64) -> Option<u64> {
    let mut table = PML4;
    for shift in [39, 30, 21] {
        let entry: u64 =
            memory.read_obj(GuestAddress(table + (address >> shift & 511) * 8)).unwrap();
        if entry & PRESENT == 0 {
            return None;
        }
        assert_eq!(entry & TABLE, TABLE, "{address:#x} is not all of accessed, writable, user");
        table = entry & 0x000f_ffff_ffff_f000;
        if shift == 21 {
            assert_eq!(entry & LARGE_PAGE, LARGE_PAGE);
        }
    }
    Some(table + address % PAGE_BYTES)
}

#[test]
fn ram_and_devices_are_mapped_to_themselves_and_nothing_else() {
    let memory = memory(8 << 20);
    for ram_bytes in [8 << 20, 1 << 30, (2 << 30) + (2 << 20), DEVICES_BASE] {
        write(&memory, ram_bytes).unwrap();
        for inside in
            [0, 0x1234, ram_bytes / 2, ram_bytes - 1, DEVICES_BASE, DEVICES_BASE + 0x1fffff]
        {
            assert_eq!(translate(&memory, inside), Some(inside), "{ram_bytes:#x}");
        }
        if ram_bytes != DEVICES_BASE {
            assert_eq!(translate(&memory, ram_bytes), None);
            assert_eq!(translate(&memory, DEVICES_BASE - 1), None);
        }
        assert_eq!(translate(&memory, DEVICES_BASE + DEVICES_BYTES), None);
        assert_eq!(translate(&memory, 1 << 32), None);
        assert_eq!(translate(&memory, 1 << 39), None);
    }
}
