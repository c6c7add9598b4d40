//! Loading an ELF payload, after checking everything that a linker could have got wrong.
//!
//! All checks are made before a byte is written. A payload is a static x86-64 executable, linked
//! to where it is loaded (virtual and physical addresses are the same), between `PAYLOAD_BASE` and
//! `PAYLOAD_END`.

use std::io::Cursor;

use linux_loader::loader::{Elf, KernelLoader};
use pincow_guest_protocol::map::{PAYLOAD_BASE, PAYLOAD_END};
use pincow_mmu::host::WindowMemory;
use thiserror::Error;

use super::fields::{self, u16_at, u32_at, u64_at};

#[cfg(test)]
mod tests;

const HEADER_LEN: usize = 64;
const SEGMENT_LEN: usize = 56;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const EM_X86_64: u16 = 62;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PF_X: u32 = 1;

/// What is wrong with a payload.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ElfError {
    /// Not an ELF file at all.
    #[error("the payload is not an ELF file: give a static x86-64 ELF executable")]
    NotElf,
    /// An ELF file for something else.
    #[error(
        "the payload is an ELF file for another machine (class {class}, data {data}, machine \
         {machine}): build it for 64-bit x86-64"
    )]
    WrongMachine {
        /// EI_CLASS; 2 is 64-bit.
        class: u8,
        /// EI_DATA; 1 is little-endian.
        data: u8,
        /// e_machine; 62 is x86-64.
        machine: u16,
    },
    /// Not linked to a fixed address.
    #[error(
        "the payload is position-independent or needs a dynamic linker: link it with -static \
         -no-pie (Rust: -C relocation-model=static) to a fixed address"
    )]
    NotStatic,
    /// Not something to execute.
    #[error("the payload has ELF type {kind}: only executables (type 2) can be started")]
    NotExecutable {
        /// e_type.
        kind: u16,
    },
    /// The file ends before what its headers tell of.
    #[error("the payload is cut off: {what} ends at byte {end:#x} of {len:#x}: build it again")]
    Truncated {
        /// Which part.
        what: &'static str,
        /// Where it would end, in bytes.
        end: u64,
        /// Length of the file in bytes.
        len: u64,
    },
    /// A header contradicts itself.
    #[error("the payload's {what} is malformed: build it again")]
    Malformed {
        /// Which part.
        what: &'static str,
    },
    /// Virtual and physical address differ.
    #[error(
        "the payload's segment at {physical:#x} is linked to {virtual_:#x}: with identity page \
         tables both must be the same"
    )]
    NotIdentity {
        /// p_paddr.
        physical: u64,
        /// p_vaddr.
        virtual_: u64,
    },
    /// A segment lies over the low structures.
    #[error(
        "the payload's segment {start:#x}..{end:#x} overlaps the page tables and stacks: link it \
         at {PAYLOAD_BASE:#x} or above"
    )]
    OverlapsLow {
        /// First address.
        start: u64,
        /// End address.
        end: u64,
    },
    /// A segment lies where the guest's tables are.
    #[error(
        "the payload's segment {start:#x}..{end:#x} ends beyond {PAYLOAD_END:#x}, where the \
         guest's own data begin: link it lower, or make it smaller"
    )]
    OverlapsTables {
        /// First address.
        start: u64,
        /// End address.
        end: u64,
    },
    /// A segment is not in RAM.
    #[error(
        "the payload's segment {start:#x}..{end:#x} does not lie in the guest's RAM, which ends \
         at {ram_end:#x}: give the guest more memory or link the payload lower"
    )]
    OutsideRam {
        /// First address.
        start: u64,
        /// End address.
        end: u64,
        /// Where RAM ends.
        ram_end: u64,
    },
    /// Two segments share addresses.
    #[error("the payload's segments overlap at {address:#x}: check its linker script")]
    SegmentsOverlap {
        /// First shared address.
        address: u64,
    },
    /// The entry address is not code.
    #[error("the payload's entry {entry:#x} is in no executable segment: check its linker script")]
    BadEntry {
        /// e_entry.
        entry: u64,
    },
    /// The loader refused what these checks let through.
    #[error("loading the payload: {0}")]
    Loader(String),
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    start: u64,
    end: u64,
    executable: bool,
}

/// Checks the payload and writes its segments to the `ram_bytes` bytes of RAM; returns the entry
/// address.
///
/// # Errors
///
/// [`ElfError`]; unless it is [`ElfError::Loader`], nothing was written.
pub fn load(memory: &WindowMemory, ram_bytes: u64, payload: &[u8]) -> Result<u64, ElfError> {
    let entry = check(payload, ram_bytes)?;
    let mut file = Cursor::new(payload);
    Elf::load(memory, None, &mut file, None).map_err(|e| ElfError::Loader(e.to_string()))?;
    Ok(entry)
}

/// All checks; returns the entry address.
fn check(payload: &[u8], ram_bytes: u64) -> Result<u64, ElfError> {
    if !payload.starts_with(b"\x7fELF") {
        return Err(ElfError::NotElf);
    }
    let header = part(payload, "the ELF header", 0, HEADER_LEN as u64)?;
    let (class, data, machine) = (header[4], header[5], u16_at(header, 18));
    if (class, data, machine) != (2, 1, EM_X86_64) {
        return Err(ElfError::WrongMachine { class, data, machine });
    }
    match u16_at(header, 16) {
        ET_EXEC => {}
        ET_DYN => return Err(ElfError::NotStatic),
        kind => return Err(ElfError::NotExecutable { kind }),
    }
    let (entry, table) = (u64_at(header, 24), u64_at(header, 32));
    let (entry_len, entries) = (u16_at(header, 54), u64::from(u16_at(header, 56)));
    if usize::from(entry_len) != SEGMENT_LEN || table < HEADER_LEN as u64 || entries == 0 {
        return Err(ElfError::Malformed { what: "program header table" });
    }
    let table = part(payload, "the program header table", table, entries * SEGMENT_LEN as u64)?;
    let mut segments = Vec::new();
    for header in table.chunks_exact(SEGMENT_LEN) {
        match u32_at(header, 0) {
            PT_LOAD => segments.extend(check_segment(payload, header, ram_bytes)?),
            PT_INTERP => return Err(ElfError::NotStatic),
            _ => {}
        }
    }
    segments.sort_unstable_by_key(|segment| segment.start);
    if let Some(pair) = segments.windows(2).find(|pair| pair[1].start < pair[0].end) {
        return Err(ElfError::SegmentsOverlap { address: pair[1].start });
    }
    let holds_entry = |s: &Segment| s.executable && (s.start..s.end).contains(&entry);
    match segments.iter().any(holds_entry) {
        true => Ok(entry),
        false => Err(ElfError::BadEntry { entry }),
    }
}

/// One loadable segment, if it is not empty.
fn check_segment(payload: &[u8], header: &[u8], ram_end: u64) -> Result<Option<Segment>, ElfError> {
    let (offset, virtual_, physical) = (u64_at(header, 8), u64_at(header, 16), u64_at(header, 24));
    let (file_len, memory_len) = (u64_at(header, 32), u64_at(header, 40));
    part(payload, "a segment", offset, file_len)?;
    if memory_len < file_len {
        return Err(ElfError::Malformed { what: "segment (longer in the file than in memory)" });
    }
    if memory_len == 0 {
        return Ok(None);
    }
    if virtual_ != physical {
        return Err(ElfError::NotIdentity { physical, virtual_ });
    }
    let (start, end) = (physical, physical.saturating_add(memory_len));
    if start < PAYLOAD_BASE {
        return Err(ElfError::OverlapsLow { start, end });
    }
    if end > ram_end {
        return Err(ElfError::OutsideRam { start, end, ram_end });
    }
    if end > PAYLOAD_END {
        return Err(ElfError::OverlapsTables { start, end });
    }
    Ok(Some(Segment { start, end, executable: u32_at(header, 4) & PF_X != 0 }))
}

fn part<'a>(
    payload: &'a [u8],
    what: &'static str,
    offset: u64,
    len: u64,
) -> Result<&'a [u8], ElfError> {
    fields::part(payload, offset, len).ok_or(ElfError::Truncated {
        what,
        end: offset.saturating_add(len),
        len: payload.len() as u64,
    })
}
