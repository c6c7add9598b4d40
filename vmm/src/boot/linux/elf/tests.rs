use super::super::tests::{ElfParts, RAM, memory, read};
use super::*;

fn load_parts(parts: &ElfParts, wanted: Option<Protocol>) -> Result<Loaded, LinuxError> {
    load(&memory(RAM), Room { end: RAM }, &parts.build(), wanted)
}

fn refusal(file: &[u8]) -> LinuxError {
    load(&memory(RAM), Room { end: RAM }, file, None).err().unwrap()
}

#[test]
fn a_segment_lies_at_its_physical_address_and_the_rest_of_it_stays_zero() {
    let ram = memory(RAM);
    let parts = ElfParts::default();
    let loaded = load(&ram, Room { end: RAM }, &parts.build(), None).unwrap();
    assert_eq!(loaded.end, (16 << 20) + 0x2000);
    assert_eq!(&read::<11>(&ram, 16 << 20), b"kernel code");
    assert_eq!(read::<8>(&ram, (16 << 20) + parts.code.len() as u64), [0; 8]);
}

#[test]
fn every_cut_of_a_file_is_refused() {
    let file = ElfParts { pvh: Some(16 << 20), ..Default::default() }.build();
    for len in (0..file.len()).step_by(7) {
        let error = refusal(&file[..len]);
        let told = matches!(error, LinuxError::Truncated { .. });
        assert!(told, "{len}: {error}");
    }
    load(&memory(RAM), Room { end: RAM }, &file, None).unwrap();
}

#[test]
fn any_byte_of_the_headers_may_be_wrong() {
    let file = ElfParts { pvh: Some(16 << 20), ..Default::default() }.build();
    for at in 0..64 + 2 * 56 {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut file = file.clone();
            file[at] = value;
            // Whatever comes of it, it is not a panic.
            let _ = load(&memory(RAM), Room { end: RAM }, &file, None);
        }
    }
}

#[test]
fn files_that_are_no_kernel_say_what_they_are() {
    let good = ElfParts::default().build();
    let changed = |at: usize, value: u8| {
        let mut file = good.clone();
        file[at] = value;
        refusal(&file)
    };
    assert!(matches!(changed(4, 1), LinuxError::WrongMachine { class: 1, .. }));
    assert!(matches!(changed(18, 0xb7), LinuxError::WrongMachine { machine: 0xb7, .. }));
    assert!(matches!(changed(16, 1), LinuxError::NotExecutable { kind: 1 }));
    assert!(matches!(changed(54, 55), LinuxError::Malformed { .. }));
    assert!(matches!(changed(56, 0), LinuxError::Malformed { .. }));
}

#[test]
fn a_kernel_must_lie_in_ram_above_one_mebibyte() {
    let at = |physical| ElfParts { physical, entry: physical, ..Default::default() };
    for physical in [0, 0xf_f000, RAM - 0x1000, RAM, u64::MAX - 0x4000] {
        let error = load_parts(&at(physical), None).err().unwrap();
        assert!(matches!(error, LinuxError::KernelOutsideRam { .. }), "{physical:#x}: {error}");
    }
    let wraps = load_parts(&at(u64::MAX - 0x10), None).err().unwrap();
    assert!(matches!(wraps, LinuxError::Malformed { .. }), "{wraps}");
    let short = ElfParts { memory_len: 10, ..Default::default() };
    assert!(matches!(load_parts(&short, None).err(), Some(LinuxError::Malformed { .. })));
}

#[test]
fn entries_outside_the_kernel_are_refused() {
    let elf = ElfParts { entry: 0x10_0000, ..Default::default() };
    assert!(matches!(load_parts(&elf, None).err(), Some(LinuxError::BadEntry { .. })));
    let pvh = ElfParts { pvh: Some(0x1000), ..Default::default() };
    let error = load_parts(&pvh, None).err().unwrap().to_string();
    assert!(error.contains("pvh entry 0x1000"), "{error}");
}

#[test]
fn pvh_needs_a_note() {
    let error = load_parts(&ElfParts::default(), Some(Protocol::Pvh)).err().unwrap().to_string();
    assert!(error.contains("CONFIG_PVH"), "{error}");
}
