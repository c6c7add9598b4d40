//! What a kernel file is, by its first bytes.

use super::LinuxError;
use crate::boot::fields::{part, u32_at};

#[cfg(test)]
mod tests;

/// A kernel file that can be booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An uncompressed kernel.
    Elf,
    /// A kernel that unpacks itself.
    BzImage,
}

/// Where the setup header of a bzImage has its magic number (Documentation/arch/x86/boot.rst).
const HEADER_MAGIC: u64 = 0x202;
/// "HdrS".
const MAGIC: u32 = 0x5372_6448;

/// How compressed files begin.
const COMPRESSED: [(&[u8], &str); 7] = [
    (b"\x1f\x8b", "a gzip"),
    (b"\xfd7zXZ\0", "an xz"),
    (b"\x28\xb5\x2f\xfd", "a zstd"),
    (b"\x02\x21\x4c\x18", "an lz4"),
    (b"BZh", "a bzip2"),
    (b"\x89LZO", "an lzo"),
    (b"\x5d\0\0", "an lzma"),
];

/// What `kernel` is.
///
/// # Errors
/// [`LinuxError::Compressed`] and [`LinuxError::NotAKernel`].
pub(super) fn of(kernel: &[u8]) -> Result<Format, LinuxError> {
    if kernel.starts_with(b"\x7fELF") {
        return Ok(Format::Elf);
    }
    if part(kernel, HEADER_MAGIC, 4).is_some_and(|magic| u32_at(magic, 0) == MAGIC) {
        return Ok(Format::BzImage);
    }
    match COMPRESSED.iter().find(|(magic, _)| kernel.starts_with(magic)) {
        Some(&(_, what)) => Err(LinuxError::Compressed { what }),
        None => Err(LinuxError::NotAKernel),
    }
}
