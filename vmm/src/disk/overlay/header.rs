//! The header: what an overlay is. It is written once.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::super::DiskError;
use super::super::geometry::{ClusterSize, Geometry};
use super::create::BaseKind;

/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = 4096;

/// Bytes before the first slot that holds clusters.
pub(super) const RESERVED_BYTES: u64 = 65536;

/// What an overlay begins with.
pub(super) const MAGIC: &[u8; 8] = b"PINCOWOV";

/// The version of the format.
pub(super) const VERSION: u32 = 1;

/// Where the path of the base begins.
const PATH_AT: usize = 64;

/// The longest path of a base.
const PATH_MAX: usize = HEADER_BYTES - PATH_AT - 4;

/// What lies under an overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BaseLink {
    pub(super) kind: BaseKind,
    pub(super) path: PathBuf,
    /// Size of the base as a disk, in bytes.
    pub(super) bytes: u64,
    /// When it was last modified, in nanoseconds since 1970.
    pub(super) modified_ns: u64,
}

/// The header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) geometry: Geometry,
    /// Tells this overlay's superblocks and batches from those of others.
    pub(super) id: u64,
    pub(super) base: Option<BaseLink>,
}

impl Header {
    /// Its bytes, or `None` when the path of the base is too long.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; HEADER_BYTES];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(12, &(self.geometry.cluster.bytes() as u32).to_le_bytes());
        put(16, &self.geometry.sectors.to_le_bytes());
        put(24, &self.id.to_le_bytes());
        if let Some(base) = &self.base {
            let path = base.path.as_os_str().as_bytes();
            if path.len() > PATH_MAX {
                return None;
            }
            put(32, &base.bytes.to_le_bytes());
            put(40, &base.modified_ns.to_le_bytes());
            put(48, &(path.len() as u32).to_le_bytes());
            put(52, &base.kind.code().to_le_bytes());
            put(PATH_AT, path);
        }
        let crc = crc32fast::hash(&bytes[..HEADER_BYTES - 4]);
        bytes[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        Some(bytes)
    }

    /// Checks and reads the header of the file at `path`. Magic, version and checksum come first.
    pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Self, DiskError> {
        let damaged = |finding: &str| DiskError::damaged(path, finding);
        if !bytes.starts_with(MAGIC) {
            return Err(DiskError::NotAnOverlay { path: path.to_owned() });
        }
        if bytes.len() < HEADER_BYTES {
            return Err(damaged("the file ends within its header, at offset 0x0"));
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            let path = path.to_owned();
            return Err(DiskError::Version { path, found: version, known: VERSION });
        }
        if crc32fast::hash(&bytes[..HEADER_BYTES - 4]) != u32_at(bytes, HEADER_BYTES - 4) {
            return Err(damaged("the header at offset 0x0 does not match its checksum"));
        }
        let cluster = ClusterSize::from_bytes(u32_at(bytes, 12).into()).map_err(|_| {
            damaged("the header at offset 0xc names a cluster size that none can have")
        })?;
        let geometry = Geometry { sectors: u64_at(bytes, 16), cluster };
        if !geometry.is_sound() {
            return Err(damaged("the header at offset 0x10 names a size that no disk can have"));
        }
        let base = match u32_at(bytes, 52) {
            0 => None,
            code => {
                let kind = BaseKind::from_code(code);
                let length = u32_at(bytes, 48) as usize;
                let (Some(kind), 1..=PATH_MAX) = (kind, length) else {
                    return Err(damaged("the header at offset 0x30 names no base that can be"));
                };
                let name = OsStr::from_bytes(&bytes[PATH_AT..PATH_AT + length]).to_owned();
                Some(BaseLink {
                    kind,
                    path: PathBuf::from(std::ffi::OsString::from_vec(name.into_vec())),
                    bytes: u64_at(bytes, 32),
                    modified_ns: u64_at(bytes, 40),
                })
            }
        };
        Ok(Self { geometry, id: u64_at(bytes, 24), base })
    }

    /// The first slot that may hold clusters.
    pub(super) fn first_slot(&self) -> u64 {
        RESERVED_BYTES / self.geometry.cluster.bytes()
    }
}

/// The number at an offset that the caller knows to be within `bytes`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

/// The number at an offset that the caller knows to be within `bytes`.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
