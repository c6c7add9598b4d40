use super::super::tests::{RAM, bzimage, memory, read, read_u32, read_u64};
use super::*;

fn written(header: Option<setup_header>) -> WindowMemory {
    let ram = memory(RAM);
    let initrd = Some(Placed { start: 0x300_0000, len_bytes: 77 });
    let page = ZeroPage {
        header,
        ram_bytes: RAM,
        initrd,
        command_line_len: 5,
        rsdp: 0xe_0000,
        setup_data: 0xb000,
    };
    page.write(&ram).unwrap();
    ram
}

/// Offsets are those of boot.rst and zero-page.rst.
#[test]
fn fields_are_where_the_protocol_has_them() {
    for header in [None, Some(bzimage(1000).1)] {
        let ram = written(header);
        let at = |offset| ZERO_PAGE + offset;
        assert_eq!(read::<2>(&ram, at(0x1fe)), [0x55, 0xaa]);
        assert_eq!(&read::<4>(&ram, at(0x202)), b"HdrS");
        assert_eq!(read::<1>(&ram, at(0x210)), [0xff]);
        assert_eq!(read_u32(&ram, at(0x218)), 0x300_0000);
        assert_eq!(read_u32(&ram, at(0x21c)), 77);
        assert_eq!(u64::from(read_u32(&ram, at(0x228))), COMMAND_LINE);
        assert_eq!(read_u64(&ram, at(0x250)), 0xb000);
        assert_eq!(read_u64(&ram, at(0x70)), 0xe_0000);
        assert_eq!(read::<1>(&ram, at(0x1e8)), [5]);
        let last = at(0x2d0) + 4 * 20;
        assert_eq!((read_u64(&ram, last), read_u32(&ram, last + 16)), (0x10_0000, 1));
        assert_eq!(read_u64(&ram, last + 8), RAM - 0x10_0000);
    }
}

#[test]
fn a_bzimage_keeps_its_own_header() {
    let ram = written(Some(bzimage(1000).1));
    assert_eq!(read_u32(&ram, ZERO_PAGE + 0x260), 8 << 20, "init_size");
}
