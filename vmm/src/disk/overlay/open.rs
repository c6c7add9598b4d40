//! From the file of an overlay to a disk.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::super::base::Base;
use super::super::file::DataFile;
use super::super::geometry::Geometry;
use super::super::map::{Garbage, Map};
use super::super::store::Store;
use super::super::{DiskError, SECTOR_BYTES};
use super::batch::Records;
use super::create::BaseKind;
use super::findings::findings;
use super::header::{BaseLink, HEADER_BYTES, Header};
use super::log::{Log, Replay, replay};
use super::superblock::Superblock;

/// How many overlays may lie upon each other.
const DEPTH_LIMIT: usize = 32;

/// An overlay that was read and found in order.
pub(in super::super) struct Opened {
    pub(in super::super) geometry: Geometry,
    pub(in super::super) base: Base,
    pub(in super::super) map: Map,
    pub(in super::super) store: Arc<Store>,
    pub(in super::super) log: Log,
}

/// What the file of one overlay says, before anything of it is used.
pub(super) struct Raw {
    pub(super) file: DataFile,
    pub(super) header: Header,
    pub(super) superblock: Superblock,
    pub(super) replay: Replay,
    pub(super) findings: Vec<String>,
}

/// Reads the file of one overlay.
pub(super) fn read(path: &Path, write: bool, direct: bool) -> Result<Raw, DiskError> {
    let file = DataFile::open(path, write, direct)?;
    let bytes = file.size_bytes()?;
    let mut head = vec![0; HEADER_BYTES.min(bytes as usize)];
    file.read(&mut head, 0)?;
    let header = Header::decode(path, &head)?;
    let superblock = Superblock::newest(&file, &header)?;
    let replay = replay(&file, &header, &superblock)?;
    let findings = findings(&header, &superblock, &replay, bytes);
    Ok(Raw { file, header, superblock, replay, findings })
}

/// Opens an overlay and all that is under it.
pub(in super::super) fn open(path: &Path, write: bool, direct: bool) -> Result<Opened, DiskError> {
    open_at(path, write, direct, 1)
}

fn open_at(path: &Path, write: bool, direct: bool, depth: usize) -> Result<Opened, DiskError> {
    if depth > DEPTH_LIMIT {
        return Err(DiskError::Depth { path: path.to_owned(), limit: DEPTH_LIMIT });
    }
    let raw = read(path, write, direct)?;
    if let Some(finding) = raw.findings.into_iter().next() {
        return Err(DiskError::damaged(path, finding));
    }
    let Raw { file, header, superblock, replay, .. } = raw;
    let (mut base, mut map) = open_base(path, &header, direct, depth)?;
    let file = Arc::new(file);
    base.hold(Arc::clone(&file));
    let (next, free) = free_slots(&header, &superblock, &replay.records, file.size_bytes()?);
    let store = Store::new(Arc::clone(&file), header.geometry.cluster, next, free);
    apply(&replay.records, &store, &mut map);
    if write {
        // What another process left in the page cache is for the first flush to sync.
        file.wrote();
    }
    let geometry = header.geometry;
    let log = Log::resume(file, header, superblock, &replay);
    Ok(Opened { geometry, base, map, store, log })
}

fn open_base(
    path: &Path,
    header: &Header,
    direct: bool,
    depth: usize,
) -> Result<(Base, Map), DiskError> {
    let clusters = header.geometry.clusters();
    let Some(link) = &header.base else { return Ok((Base::blank(), Map::new(clusters))) };
    let (base, map, bytes) = match link.kind {
        BaseKind::Raw => {
            let base = Base::raw(&link.path, false, direct)?;
            let bytes = base.sectors() * SECTOR_BYTES;
            (base, Map::new(clusters), bytes)
        }
        BaseKind::Overlay => {
            let mut below = open_at(&link.path, false, direct, depth + 1)?;
            if below.geometry.cluster != header.geometry.cluster {
                return Err(DiskError::damaged(path, "its base has clusters of another size"));
            }
            below.map.grow(clusters);
            (below.base, below.map, below.geometry.sectors * SECTOR_BYTES)
        }
    };
    matches(path, link, bytes)?;
    if bytes > header.geometry.sectors * SECTOR_BYTES {
        return Err(DiskError::damaged(path, "it is smaller than its base"));
    }
    Ok((base, map))
}

fn matches(path: &Path, link: &BaseLink, found: u64) -> Result<(), DiskError> {
    match link.bytes == found {
        true => Ok(()),
        false => Err(DiskError::BaseChanged {
            path: path.to_owned(),
            base: link.path.clone(),
            recorded: link.bytes,
            found,
        }),
    }
}

/// The first slot behind all that is in use, and those before it that nobody uses.
fn free_slots(
    header: &Header,
    superblock: &Superblock,
    records: &Records,
    file_bytes: u64,
) -> (u64, Vec<u64>) {
    let log = superblock.first..superblock.first + superblock.slots;
    let named = records.values().flat_map(|record| record.parts.iter().map(|(slot, _)| *slot));
    let used: BTreeSet<u64> = named.collect();
    let next = file_bytes.div_ceil(header.geometry.cluster.bytes()).max(log.end);
    let free = |slot: &u64| !used.contains(slot) && !log.contains(slot);
    (next, (header.first_slot()..next).rev().filter(free).collect())
}

fn apply(records: &Records, store: &Arc<Store>, map: &mut Map) {
    let mut garbage = Garbage::new();
    for (cluster, record) in records {
        let entry = map.edit(*cluster);
        entry.clear(record.zero, &mut garbage);
        for (slot, valid) in &record.parts {
            entry.land(&store.adopt(*slot, 0), *valid, &mut garbage);
        }
    }
}
