//! An uncompressed kernel: its segments are checked, then written to where it is linked to.

use std::io::Cursor;

use linux_loader::loader::elf::PvhBootCapability;
use linux_loader::loader::{Elf, KernelLoader};
use pincow_mmu::host::WindowMemory;

use super::layout::HIGH_RAM;
use super::{Entry, LinuxError, Protocol, Room};
use crate::boot::fields::{part, u16_at, u32_at, u64_at};

#[cfg(test)]
mod tests;

const HEADER_LEN: u64 = 64;
const SEGMENT_LEN: u64 = 56;
const ET_EXEC: u16 = 2;
const EM_X86_64: u16 = 62;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;

/// A kernel in memory.
pub(super) struct Loaded {
    pub(super) entry: Entry,
    /// End of the memory that it needs before it manages its memory itself.
    pub(super) end: u64,
}

/// Checks the kernel and writes it to memory within `room`.
pub(super) fn load(
    memory: &WindowMemory,
    room: Room,
    kernel: &[u8],
    wanted: Option<Protocol>,
) -> Result<Loaded, LinuxError> {
    let (start, end) = check(kernel)?;
    room.check(start, end)?;
    let result = Elf::load(memory, None, &mut Cursor::new(kernel), None)?;
    let pvh = match result.pvh_boot_cap {
        PvhBootCapability::PvhEntryPresent(entry) => Some(entry.0),
        _ => None,
    };
    let entry = match (wanted, pvh) {
        (None | Some(Protocol::Pvh), Some(address)) => Entry { protocol: Protocol::Pvh, address },
        (Some(Protocol::Pvh), None) => {
            let reason = "its notes name no PVH entry: build it with CONFIG_PVH, or use linux64";
            return Err(LinuxError::Protocol { protocol: Protocol::Pvh, reason });
        }
        _ => Entry { protocol: Protocol::Linux64, address: result.kernel_load.0 },
    };
    if !(start..end).contains(&entry.address) {
        let (protocol, entry) = (entry.protocol, entry.address);
        return Err(LinuxError::BadEntry { protocol, entry });
    }
    Ok(Loaded { entry, end })
}

/// All that a linker or a download could have got wrong; returns the range of memory that the
/// segments need.
fn check(kernel: &[u8]) -> Result<(u64, u64), LinuxError> {
    let header = piece(kernel, "the ELF header", 0, HEADER_LEN)?;
    let (class, data, machine) = (header[4], header[5], u16_at(header, 18));
    if (class, data, machine) != (2, 1, EM_X86_64) {
        return Err(LinuxError::WrongMachine { class, data, machine });
    }
    match u16_at(header, 16) {
        ET_EXEC => {}
        kind => return Err(LinuxError::NotExecutable { kind }),
    }
    let (table, entries) = (u64_at(header, 32), u64::from(u16_at(header, 56)));
    if u64::from(u16_at(header, 54)) != SEGMENT_LEN || table < HEADER_LEN || entries == 0 {
        return Err(LinuxError::Malformed { what: "program header table" });
    }
    let table = piece(kernel, "the program header table", table, entries * SEGMENT_LEN)?;
    let mut segments = Vec::new();
    for header in table.chunks_exact(SEGMENT_LEN as usize) {
        let (offset, file_len) = (u64_at(header, 8), u64_at(header, 32));
        match u32_at(header, 0) {
            PT_LOAD => {
                piece(kernel, "a segment", offset, file_len)?;
                segments.extend(segment(header, file_len)?);
            }
            PT_NOTE => {
                piece(kernel, "a note segment", offset, file_len)?;
            }
            _ => {}
        }
    }
    segments.sort_unstable();
    if segments.windows(2).any(|pair| pair[1].0 < pair[0].1) {
        return Err(LinuxError::Malformed { what: "segment table (segments overlap)" });
    }
    let ends = segments.first().zip(segments.last());
    let (first, last) =
        ends.ok_or(LinuxError::Malformed { what: "segment table (it is empty)" })?;
    Ok((first.0, last.1))
}

/// The memory of one segment, if it has any.
fn segment(header: &[u8], file_len: u64) -> Result<Option<(u64, u64)>, LinuxError> {
    let (start, memory_len) = (u64_at(header, 24), u64_at(header, 40));
    if memory_len < file_len {
        let what = "segment (longer in the file than in memory)";
        return Err(LinuxError::Malformed { what });
    }
    let what = "segment (its end is no address)";
    let end = start.checked_add(memory_len).ok_or(LinuxError::Malformed { what })?;
    Ok((memory_len > 0).then_some((start, end)))
}

fn piece<'a>(
    kernel: &'a [u8],
    what: &'static str,
    offset: u64,
    len: u64,
) -> Result<&'a [u8], LinuxError> {
    part(kernel, offset, len).ok_or(LinuxError::Truncated {
        what,
        end: offset.saturating_add(len),
        len: kernel.len() as u64,
    })
}

impl Room {
    /// Whether `start..end` lies in it.
    pub(super) fn check(self, start: u64, end: u64) -> Result<(), LinuxError> {
        let (first, room_end) = (HIGH_RAM, self.end);
        if start < first || end > room_end {
            return Err(LinuxError::KernelOutsideRam { start, end, first, room_end });
        }
        Ok(())
    }
}
