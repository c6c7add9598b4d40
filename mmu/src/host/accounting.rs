//! What the kernel itself says about memory: the figures that our own counters are checked against.

use std::fs;
use std::io;
use std::ops::Range;

/// One host mapping, as a line of `/proc/self/maps` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostMapping {
    /// Host virtual addresses, in bytes.
    pub addresses: Range<usize>,
    /// Permissions, such as `rw-s`.
    pub permissions: String,
    /// Offset in the file, in bytes: for a layer, the guest physical address.
    pub offset: u64,
    /// Inode of the file ([`Store::inode`](super::Store::inode)), or 0.
    pub inode: u64,
}

/// The host mappings that lie in `addresses`, in order.
///
/// # Errors
///
/// What reading `/proc/self/maps` gives.
pub fn mappings_in(addresses: Range<usize>) -> io::Result<Vec<HostMapping>> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let inside = |mapping: &HostMapping| {
        mapping.addresses.start < addresses.end && addresses.start < mapping.addresses.end
    };
    Ok(maps.lines().filter_map(mapping).filter(inside).collect())
}

/// The proportional share of the memory in `addresses` that the kernel charges to this process,
/// in bytes: a page that n mappings show counts one n-th in each (`Pss` in proc_pid_smaps(5)).
///
/// # Errors
///
/// What reading `/proc/self/smaps` gives.
pub fn pss_bytes(addresses: Range<usize>) -> io::Result<u64> {
    let smaps = fs::read_to_string("/proc/self/smaps")?;
    let (mut inside, mut kib) = (false, 0);
    for line in smaps.lines() {
        if let Some(mapping) = mapping(line) {
            inside =
                mapping.addresses.start < addresses.end && addresses.start < mapping.addresses.end;
        } else if let (true, Some(share)) = (inside, line.strip_prefix("Pss:")) {
            kib += share.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0);
        }
    }
    Ok(kib * 1024)
}

/// Reads `start-end permissions offset device inode`.
fn mapping(line: &str) -> Option<HostMapping> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    let permissions = words.next()?.to_owned();
    let offset = u64::from_str_radix(words.next()?, 16).ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    Some(HostMapping { addresses: start..end, permissions, offset, inode })
}

#[cfg(test)]
mod tests;
