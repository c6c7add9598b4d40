//! Sizes as people write them: `64M`, `1G`, `0x4000000`.

use std::fmt;
use std::str::FromStr;

#[cfg(test)]
mod tests;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemorySize(pub(super) u64);

/// A word that is not a size.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a size: write bytes, or a number with K, M or G, such as 64M")]
pub(super) struct NotASize(String);

impl FromStr for MemorySize {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let not_a_size = || NotASize(text.to_owned());
        let trimmed = text.strip_suffix("iB").unwrap_or(text);
        let (digits, shift) = match trimmed.char_indices().next_back() {
            Some((at, 'k' | 'K')) => (&trimmed[..at], 10),
            Some((at, 'm' | 'M')) => (&trimmed[..at], 20),
            Some((at, 'g' | 'G')) => (&trimmed[..at], 30),
            _ => (text, 0),
        };
        let number = match digits.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => digits.parse(),
        };
        let number = number.map_err(|_| not_a_size())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(not_a_size)
    }
}

impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, unit) = match self.0 {
            bytes if bytes >= 1 << 30 && bytes.is_multiple_of(1 << 30) => (bytes >> 30, "G"),
            bytes if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => (bytes >> 20, "M"),
            bytes if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => (bytes >> 10, "K"),
            bytes => (bytes, ""),
        };
        f.pad(&format!("{value}{unit}"))
    }
}

/// A size as people read it; `--json` has the bytes.
pub(super) fn rounded(bytes: u64) -> String {
    let (shift, unit) = match bytes {
        0x4000_0000.. => (30, "GiB"),
        0x10_0000.. => (20, "MiB"),
        1024.. => (10, "KiB"),
        _ => return format!("{bytes} B"),
    };
    let tenths = (u128::from(bytes) * 10) >> shift;
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        tenth => format!("{}.{tenth} {unit}", tenths / 10),
    }
}
