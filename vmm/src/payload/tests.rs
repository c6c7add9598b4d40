use pincow_guest_protocol::map::{PAYLOAD_BASE, PAYLOAD_END};

use super::PAYLOAD;

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;

/// The little-endian number of `bytes` bytes at `offset`.
fn number(offset: usize, bytes: usize) -> u64 {
    let field = &PAYLOAD[offset..offset + bytes];
    field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Offsets of the program headers.
fn program_headers() -> Vec<usize> {
    let (first, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).map(|n| (first + n * size) as usize).collect()
}

#[test]
fn it_is_a_static_executable_for_x86_64() {
    assert_eq!(&PAYLOAD[..6], b"\x7fELF\x02\x01");
    assert_eq!((number(16, 2), number(18, 2)), (2, 62), "type EXEC, machine x86-64");
    for header in program_headers() {
        assert!(![PT_DYNAMIC, PT_INTERP].contains(&number(header, 4)));
    }
}

#[test]
fn all_of_it_lies_in_the_room_for_the_payload() {
    let room = PAYLOAD_BASE..PAYLOAD_END;
    assert!(room.contains(&number(24, 8)), "entry point");
    let mut loads = 0;
    for header in program_headers().into_iter().filter(|at| number(*at, 4) == PT_LOAD) {
        let (virt, phys, bytes) =
            (number(header + 16, 8), number(header + 24, 8), number(header + 40, 8));
        assert_eq!(virt, phys);
        assert!(room.contains(&phys) && phys + bytes <= room.end, "{phys:#x}+{bytes:#x}");
        loads += 1;
    }
    assert!(loads > 0);
}

#[test]
fn it_names_no_path_of_this_machine() {
    let here = env!("CARGO_MANIFEST_DIR").as_bytes();
    let parent = here.strip_suffix(b"/vmm").expect("the package lies in vmm/");
    assert!(!PAYLOAD.windows(parent.len()).any(|bytes| bytes == parent));
}
