use super::super::tests::{RAM, bzimage, memory, read, with_header};
use super::*;

const LEN: usize = 5000;

fn load_with(change: impl FnOnce(&mut setup_header)) -> Result<Loaded, LinuxError> {
    let (_, mut header) = bzimage(LEN);
    change(&mut header);
    load(&memory(RAM), Room { end: RAM }, &with_header(&header, LEN), None)
}

#[test]
fn the_kernel_lies_where_it_prefers_without_its_real_mode_code() {
    let ram = memory(RAM);
    let loaded = load(&ram, Room { end: RAM }, &bzimage(LEN).0, None).unwrap();
    assert_eq!(read::<4>(&ram, 16 << 20), [0, 1, 2, 3]);
    assert_eq!((loaded.entry.address, loaded.end), ((16 << 20) + 0x200, 24 << 20));
    let fixed = load_with(|header| header.relocatable_kernel = 0).unwrap();
    assert_eq!(fixed.entry.address, 0x10_0200);
}

#[test]
fn every_cut_of_a_file_is_refused() {
    let (file, _) = bzimage(LEN);
    for len in (0x206..file.len() - 15).step_by(11) {
        let cut = load(&memory(RAM), Room { end: RAM }, &file[..len], None);
        assert!(matches!(cut.err(), Some(LinuxError::Truncated { .. })), "{len}");
    }
}

#[test]
fn any_byte_of_the_header_may_be_wrong() {
    let (file, _) = bzimage(LEN);
    let first = HEADER as usize;
    for at in first..first + size_of::<setup_header>() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut file = file.clone();
            file[at] = value;
            // Whatever comes of it, it is not a panic.
            let _ = load(&memory(RAM), Room { end: RAM }, &file, None);
        }
    }
}

#[test]
fn kernels_without_a_64_bit_entry_are_refused() {
    let old = load_with(|header| header.version = 0x206).err().unwrap().to_string();
    assert!(old.contains("boot protocol 2.06"), "{old}");
    let i386 = load_with(|header| header.xloadflags = 0).err().unwrap().to_string();
    assert!(i386.contains("CONFIG_X86_64"), "{i386}");
    let low = load_with(|header| header.code32_start = 0x1000).err();
    assert!(matches!(low, Some(LinuxError::Malformed { .. })));
}

#[test]
fn room_to_unpack_is_needed() {
    let error = load_with(|header| header.init_size = RAM as u32).err().unwrap().to_string();
    assert!(error.contains("0x1000000..0x5000000") && error.contains("--memory"), "{error}");
    for pref_address in [RAM, u64::MAX, u64::MAX - 0x1000] {
        let refused = load_with(|header| header.pref_address = pref_address).err();
        assert!(matches!(refused, Some(LinuxError::KernelOutsideRam { .. })), "{pref_address:#x}");
    }
}

#[test]
fn pvh_is_for_elf_files() {
    let wanted = Some(Protocol::Pvh);
    let refused = load(&memory(RAM), Room { end: RAM }, &bzimage(LEN).0, wanted);
    let error = refused.err().unwrap().to_string();
    assert!(error.contains("pvh") && error.contains("vmlinux"), "{error}");
}
