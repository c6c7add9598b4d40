//! A kernel that unpacks itself: it is written to where it would like to run, and entered in 64-bit
//! mode (Documentation/arch/x86/boot.rst, "64-bit Boot Protocol").

use std::io::Cursor;

use linux_loader::loader::bootparam::setup_header;
use linux_loader::loader::{BzImage, KernelLoader};
use pincow_mmu::host::WindowMemory;
use vm_memory::{ByteValued, GuestAddress};

use super::layout::HIGH_RAM;
use super::{Entry, LinuxError, Protocol, Room};
use crate::boot::fields::part;

#[cfg(test)]
mod tests;

/// Where the setup header is in the file.
pub(super) const HEADER: u64 = 0x1f1;
const SECTOR: u64 = 512;
/// Sectors of real-mode code where the header says 0.
const OLD_SETUP_SECTORS: u64 = 4;
/// xloadflags: there is a 64-bit entry, 0x200 bytes into the kernel.
const XLF_KERNEL_64: u16 = 1;
const ENTRY_64: u64 = 0x200;
/// The first protocol with xloadflags.
const VERSION_WITH_XLOADFLAGS: u16 = 0x20c;
/// loadflags: the kernel is loaded high.
const LOADED_HIGH: u8 = 1;

/// A kernel in memory, and what it says about itself.
pub(super) struct Loaded {
    pub(super) entry: Entry,
    /// End of the memory that it needs before it manages its memory itself.
    pub(super) end: u64,
    pub(super) header: setup_header,
}

/// Checks the kernel and writes it to memory within `room`.
pub(super) fn load(
    memory: &WindowMemory,
    room: Room,
    kernel: &[u8],
    wanted: Option<Protocol>,
) -> Result<Loaded, LinuxError> {
    if wanted == Some(Protocol::Pvh) {
        let reason = "it is a bzImage, whose PVH entry is compressed: give the vmlinux that is in \
                      it, or use linux64";
        return Err(LinuxError::Protocol { protocol: Protocol::Pvh, reason });
    }
    let header = check(kernel)?;
    let start = match header.relocatable_kernel {
        0 => u64::from(header.code32_start),
        _ => header.pref_address.max(HIGH_RAM),
    };
    let end = start
        .saturating_add(u64::from(header.init_size))
        .max(start.saturating_add(kernel.len() as u64));
    room.check(start, end)?;
    let at = Some(GuestAddress(start));
    let loaded = BzImage::load(memory, at, &mut Cursor::new(kernel), Some(GuestAddress(HIGH_RAM)))?;
    let entry = Entry { protocol: Protocol::Linux64, address: start + ENTRY_64 };
    Ok(Loaded { entry, end, header: loaded.setup_header.unwrap_or(header) })
}

/// Checks what the header says against the file.
fn check(kernel: &[u8]) -> Result<setup_header, LinuxError> {
    let len = kernel.len() as u64;
    let truncated = |what, end| LinuxError::Truncated { what, end, len };
    let header_len = size_of::<setup_header>() as u64;
    let bytes = part(kernel, HEADER, header_len)
        .ok_or(truncated("the setup header", HEADER + header_len))?;
    let mut header = setup_header::default();
    header.as_mut_slice().copy_from_slice(bytes);
    let (version, xloadflags) = (header.version, header.xloadflags);
    if version < VERSION_WITH_XLOADFLAGS || xloadflags & XLF_KERNEL_64 == 0 {
        let (major, minor) = (version >> 8, version & 0xff);
        return Err(LinuxError::No64BitEntry { major, minor, xloadflags });
    }
    if header.loadflags & LOADED_HIGH == 0 || u64::from(header.code32_start) < HIGH_RAM {
        return Err(LinuxError::Malformed { what: "setup header (it is not loaded high)" });
    }
    let setup = match u64::from(header.setup_sects) {
        0 => OLD_SETUP_SECTORS,
        sectors => sectors,
    };
    // syssize counts 16-byte paragraphs of everything after the real-mode code.
    let kernel_start = (1 + setup) * SECTOR;
    let end = kernel_start + u64::from(header.syssize) * 16;
    // The last paragraph may be filled up in the count only.
    if end.saturating_sub(15) > len || kernel_start + ENTRY_64 >= len {
        return Err(truncated("the protected-mode kernel", end.max(kernel_start + ENTRY_64)));
    }
    Ok(header)
}
