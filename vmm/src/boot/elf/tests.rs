use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::boot::tests::{code, elf, memory};

const RAM: u64 = 8 << 20;

/// The payload with the bytes at `offset` replaced.
fn patched(offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = elf(&code::SPIN);
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
    file
}

fn refused(file: &[u8]) -> ElfError {
    let ram = memory(RAM as usize);
    let error = load(&ram, RAM, file).unwrap_err();
    let mut first = [0xff; 2];
    ram.read_slice(&mut first, GuestAddress(PAYLOAD_BASE)).unwrap();
    assert_eq!(first, [0, 0], "written in spite of {error}");
    error
}

/// Where the only program header has its fields.
mod segment {
    pub(super) const KIND: usize = 64;
    pub(super) const FLAGS: usize = 68;
    pub(super) const OFFSET: usize = 72;
    pub(super) const VIRTUAL: usize = 80;
    pub(super) const PHYSICAL: usize = 88;
    pub(super) const FILE_LEN: usize = 96;
    pub(super) const MEMORY_LEN: usize = 104;
}

#[test]
fn a_good_payload_lies_where_it_was_linked() {
    let ram = memory(RAM as usize);
    assert_eq!(load(&ram, RAM, &elf(&code::SPIN)), Ok(PAYLOAD_BASE));
    let mut first = [0; 2];
    ram.read_slice(&mut first, GuestAddress(PAYLOAD_BASE)).unwrap();
    assert_eq!(first, code::SPIN);
    assert!(load(&ram, RAM, crate::payload::PAYLOAD).is_ok());
}

#[test]
fn other_files_are_named_for_what_they_are() {
    assert_eq!(refused(b""), ElfError::NotElf);
    assert_eq!(refused(b"#!/bin/sh\n"), ElfError::NotElf);
    assert!(matches!(refused(b"\x7fELF"), ElfError::Truncated { end: 64, len: 4, .. }));
    let arm = refused(&patched(18, &183_u16.to_le_bytes()));
    assert_eq!(arm, ElfError::WrongMachine { class: 2, data: 1, machine: 183 });
    assert!(matches!(refused(&patched(4, &[1])), ElfError::WrongMachine { class: 1, .. }));
    assert!(matches!(refused(&patched(5, &[2])), ElfError::WrongMachine { data: 2, .. }));
    assert_eq!(refused(&patched(16, &[3])), ElfError::NotStatic);
    assert_eq!(refused(&patched(16, &[1])), ElfError::NotExecutable { kind: 1 });
    assert_eq!(refused(&patched(segment::KIND, &[3])), ElfError::NotStatic);
}

#[test]
fn segments_in_the_wrong_place_are_named_with_their_addresses() {
    let at = |address: u64| {
        let mut file = patched(segment::VIRTUAL, &address.to_le_bytes());
        file[segment::PHYSICAL..][..8].copy_from_slice(&address.to_le_bytes());
        refused(&file)
    };
    assert_eq!(at(0x8000), ElfError::OverlapsLow { start: 0x8000, end: 0x8002 });
    assert_eq!(at(RAM), ElfError::OutsideRam { start: RAM, end: RAM + 2, ram_end: RAM });
    assert_eq!(at(0x40_0000), ElfError::OverlapsTables { start: 0x40_0000, end: 0x40_0002 });
    assert!(matches!(at(u64::MAX), ElfError::OutsideRam { end: u64::MAX, .. }));
    let text = at(RAM).to_string();
    assert!(text.contains("0x800000..0x800002") && text.contains("more memory"), "{text}");
    let moved = refused(&patched(segment::VIRTUAL, &0x1_0000_u64.to_le_bytes()));
    assert_eq!(moved, ElfError::NotIdentity { physical: PAYLOAD_BASE, virtual_: 0x1_0000 });
}

#[test]
fn headers_that_lie_are_refused() {
    for huge in [0x1_0000, u64::MAX] {
        let beyond = refused(&patched(segment::OFFSET, &huge.to_le_bytes()));
        assert!(matches!(beyond, ElfError::Truncated { .. }));
        let long = refused(&patched(segment::FILE_LEN, &huge.to_le_bytes()));
        assert!(matches!(long, ElfError::Truncated { .. }));
        assert!(matches!(refused(&patched(32, &huge.to_le_bytes())), ElfError::Truncated { .. }));
    }
    let short = refused(&patched(segment::MEMORY_LEN, &1_u64.to_le_bytes()));
    assert!(matches!(short, ElfError::Malformed { .. }));
    assert!(matches!(refused(&patched(54, &[55])), ElfError::Malformed { .. }));
    assert!(matches!(refused(&patched(56, &[0])), ElfError::Malformed { .. }));
    assert!(matches!(refused(&patched(56, &[0xff, 0xff])), ElfError::Truncated { .. }));
    assert_eq!(refused(&patched(24, &[9])), ElfError::BadEntry { entry: PAYLOAD_BASE + 9 });
    let no_code = refused(&patched(segment::FLAGS, &[6]));
    assert_eq!(no_code, ElfError::BadEntry { entry: PAYLOAD_BASE });
}

#[test]
fn every_truncation_and_every_flipped_byte_is_survived() {
    let good = elf(&code::SPIN);
    let ram = memory(RAM as usize);
    for len in 0..good.len() {
        assert!(load(&ram, RAM, &good[..len]).is_err(), "{len}");
    }
    for (offset, byte) in good.iter().enumerate() {
        for bit in 0..8 {
            let _ = load(&ram, RAM, &patched(offset, &[byte ^ 1 << bit]));
        }
    }
}

#[test]
fn overlapping_segments_are_refused() {
    let good = elf(&code::SPIN);
    let mut file = good[..120].to_vec();
    file[56] = 2;
    file.extend_from_slice(&good[64..120]);
    file.extend_from_slice(&good[120..]);
    assert_eq!(refused(&file), ElfError::SegmentsOverlap { address: PAYLOAD_BASE });
}
