//! The embedded guest payload.

/// A static ELF executable, linked to `pincow_guest_protocol::map::PAYLOAD_BASE`; `guest/` has its
/// source, and the build script compiles it.
pub const PAYLOAD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/payload.elf"));

#[cfg(test)]
mod tests;
