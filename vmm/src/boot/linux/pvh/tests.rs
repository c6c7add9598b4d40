use super::super::tests::{RAM, memory, read_u32, read_u64};
use super::*;

#[test]
fn fields_are_where_the_protocol_has_them() {
    let ram = memory(RAM);
    let initrd = Some(Placed { start: 0x300_0000, len_bytes: 77 });
    StartInfo { ram_bytes: RAM, initrd, rsdp: 0xe_0000 }.write(&ram).unwrap();
    assert_eq!(read_u32(&ram, START_INFO), 0x336e_c578);
    assert_eq!((read_u32(&ram, START_INFO + 4), read_u32(&ram, START_INFO + 12)), (1, 1));
    let modules = read_u64(&ram, START_INFO + 16);
    assert_eq!((read_u64(&ram, modules), read_u64(&ram, modules + 8)), (0x300_0000, 77));
    assert_eq!(read_u64(&ram, START_INFO + 24), COMMAND_LINE);
    assert_eq!(read_u64(&ram, START_INFO + 32), 0xe_0000);
    let (map, entries) = (read_u64(&ram, START_INFO + 40), read_u32(&ram, START_INFO + 48));
    assert_eq!(entries, 5);
    let last = map + 4 * 24;
    assert_eq!((read_u64(&ram, last), read_u32(&ram, last + 16)), (0x10_0000, 1));
    assert_eq!(read_u64(&ram, last + 8), RAM - 0x10_0000);
}

#[test]
fn without_an_initrd_there_is_no_module() {
    let ram = memory(RAM);
    StartInfo { ram_bytes: RAM, initrd: None, rsdp: 0 }.write(&ram).unwrap();
    assert_eq!(read_u32(&ram, START_INFO + 12), 0);
}
