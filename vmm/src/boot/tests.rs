use pincow_guest_protocol::map::PAYLOAD_BASE;
use vm_memory::GuestMemoryBackend;

use super::*;

/// Machine code for tests.
pub(crate) mod code {
    /// jmp to itself
    pub(crate) const SPIN: [u8; 2] = [0xeb, 0xfe];

    /// mov to and from [rdi], 1, 2, 4 and 8 bytes
    pub(crate) const ALL_WIDTHS: [u8; 20] = [
        0x88, 0x07, 0x66, 0x89, 0x07, 0x89, 0x07, 0x48, 0x89, 0x07, //
        0x8a, 0x07, 0x66, 0x8b, 0x07, 0x8b, 0x07, 0x48, 0x8b, 0x07,
    ];

    /// mov edi, value
    pub(crate) fn set_rdi(value: u32) -> [u8; 5] {
        let [a, b, c, d] = value.to_le_bytes();
        [0xbf, a, b, c, d]
    }

    /// mov edi, EXIT; mov eax, code; mov [rdi], rax
    pub(crate) fn exit(code: u8) -> Vec<u8> {
        let mut program = set_rdi(0xd000_1058).to_vec();
        program.extend([0xb8, code, 0, 0, 0, 0x48, 0x89, 0x07]);
        program
    }
}

/// An ELF executable of one segment, at the payload's place.
pub(crate) fn elf(code: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for word in [PAYLOAD_BASE, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    file.extend([1, 0, 0, 0, 7, 0, 0, 0]);
    let len = code.len() as u64;
    for word in [120, PAYLOAD_BASE, PAYLOAD_BASE, len, len, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}

pub(super) fn memory(len: usize) -> WindowMemory {
    pincow_mmu::host::anonymous(len).unwrap()
}

#[test]
fn sizes_that_the_map_has_no_room_for_are_refused() {
    let ram = memory(8 << 20);
    assert_eq!(ram.num_regions(), 1);
    for bytes in [0, 4096, 4 << 20, (8 << 20) + 4096, 0xd020_0000, u64::MAX] {
        let refused = load(&ram, bytes, 1, &elf(&code::SPIN));
        assert!(matches!(refused, Err(BootError::RamSize { .. })), "{bytes:#x}");
    }
    for vcpus in [0, 33, u32::MAX] {
        let refused = load(&ram, 8 << 20, vcpus, &elf(&code::SPIN));
        assert!(matches!(refused, Err(BootError::Vcpus { .. })), "{vcpus}");
    }
    let loaded = load(&ram, 8 << 20, 32, &elf(&code::SPIN)).unwrap();
    assert_eq!(loaded, Loaded { entry: PAYLOAD_BASE, ram_bytes: 8 << 20, vcpus: 32 });
}
