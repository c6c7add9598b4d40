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
    Ok(maps.lines().filter_map(mapping).filter(|mapping| overlap(mapping, &addresses)).collect())
}

/// The proportional share of the memory in `addresses` that the kernel charges to this process,
/// in bytes: a page that n mappings show counts one n-th in each (`Pss` in proc_pid_smaps(5)).
///
/// # Errors
///
/// What reading `/proc/self/smaps` gives.
pub fn pss_bytes(addresses: Range<usize>) -> io::Result<u64> {
    Ok(each("Pss:", |mapping, _| overlap(mapping, &addresses))?.into_iter().sum())
}

/// What the kernel has copied in the mappings in `addresses`, or made there of nothing, in bytes
/// (`Anonymous` in proc_pid_smaps(5)).
///
/// # Errors
///
/// What reading `/proc/self/smaps` gives.
pub fn anonymous_bytes_in(addresses: Range<usize>) -> io::Result<u64> {
    Ok(each("Anonymous:", |mapping, _| overlap(mapping, &addresses))?.into_iter().sum())
}

/// What the kernel has copied in each mapping of the memfd with this inode, in bytes, in the order of
/// addresses (`Anonymous` in proc_pid_smaps(5)).
///
/// # Errors
///
/// What reading `/proc/self/smaps` gives.
pub fn anonymous_bytes_of(inode: u64) -> io::Result<Vec<u64>> {
    each("Anonymous:", |mapping, line| mapping.inode == inode && line.contains(" /memfd:"))
}

/// A figure of each mapping that is wanted, in bytes, in the order of addresses.
fn each(figure: &str, wanted: impl Fn(&HostMapping, &str) -> bool) -> io::Result<Vec<u64>> {
    let smaps = fs::read_to_string("/proc/self/smaps")?;
    let (mut inside, mut bytes) = (false, Vec::new());
    for line in smaps.lines() {
        if let Some(mapping) = mapping(line) {
            inside = wanted(&mapping, line);
        } else if let (true, Some(value)) = (inside, line.strip_prefix(figure)) {
            bytes.push(kib(value) * 1024);
        }
    }
    Ok(bytes)
}

fn overlap(mapping: &HostMapping, addresses: &Range<usize>) -> bool {
    mapping.addresses.start < addresses.end && addresses.start < mapping.addresses.end
}

/// Reads `238 kB`.
fn kib(text: &str) -> u64 {
    text.trim().trim_end_matches(" kB").parse().unwrap_or(0)
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
