//! What contradicts itself in a map that was read from a file.

use std::collections::BTreeMap;

use super::super::SECTOR_BYTES;
use super::super::geometry::Mask;
use super::batch::{Record, Records};
use super::header::Header;
use super::log::Replay;
use super::superblock::Superblock;

/// All that is wrong, in words. Empty: the records can be used as they are.
pub(super) fn findings(
    header: &Header,
    superblock: &Superblock,
    replay: &Replay,
    file_bytes: u64,
) -> Vec<String> {
    let mut found = Vec::new();
    let log_at = superblock.first * header.geometry.cluster.bytes();
    if let Some((number, at)) = replay.beyond {
        found.push(format!(
            "batches {} to {} of the log are damaged, at offset {:#x}: a whole one follows at \
             {:#x}",
            replay.batches,
            number.saturating_sub(1),
            log_at + replay.tail,
            log_at + at,
        ));
    }
    if replay.batches == 0 && superblock.epoch > 1 {
        found.push(format!("the log at offset {log_at:#x} lacks the map that it began with"));
    }
    let mut judge = Judge { header, superblock, file_bytes, used: BTreeMap::new(), found };
    judge.all(&replay.records);
    judge.found
}

struct Judge<'a> {
    header: &'a Header,
    superblock: &'a Superblock,
    file_bytes: u64,
    /// The cluster that uses a slot.
    used: BTreeMap<u64, u64>,
    found: Vec<String>,
}

impl Judge<'_> {
    fn all(&mut self, records: &Records) {
        for (cluster, record) in records {
            self.record(*cluster, record);
        }
    }

    fn record(&mut self, cluster: u64, record: &Record) {
        let on_disk = self.header.geometry.on_disk(cluster);
        let mut seen = record.zero;
        if on_disk == 0 {
            self.found.push(format!("cluster {cluster:#x}: beyond the end of the disk"));
        }
        let beyond = |sectors: Mask| sectors & !on_disk != 0;
        if beyond(record.zero) {
            self.found.push(format!("cluster {cluster:#x}: zeroes beyond the end of the disk"));
        }
        for (slot, valid) in &record.parts {
            if beyond(*valid) {
                self.found
                    .push(format!("cluster {cluster:#x}: sectors beyond the end of the disk"));
            }
            if seen & valid != 0 || *valid == 0 {
                self.found.push(format!(
                    "cluster {cluster:#x}: slot {slot:#x} holds no sector, or one that is \
                     elsewhere too"
                ));
            }
            seen |= valid;
            self.slot(cluster, *slot, *valid);
        }
    }

    fn slot(&mut self, cluster: u64, slot: u64, valid: Mask) {
        let log = self.superblock.first..self.superblock.first + self.superblock.slots;
        if slot < self.header.first_slot() || log.contains(&slot) {
            self.found
                .push(format!("cluster {cluster:#x}: slot {slot:#x} is not one for clusters"));
        }
        let within = u64::from(Mask::BITS - valid.leading_zeros()) * SECTOR_BYTES;
        let end = slot
            .checked_mul(self.header.geometry.cluster.bytes())
            .and_then(|start| start.checked_add(within));
        if end.is_none_or(|end| end > self.file_bytes) {
            self.found.push(format!(
                "cluster {cluster:#x}: slot {slot:#x} reaches beyond the end of the file, at {:#x}",
                self.file_bytes
            ));
        }
        if let Some(other) = self.used.insert(slot, cluster) {
            self.found
                .push(format!("slot {slot:#x}: clusters {other:#x} and {cluster:#x} both use it"));
        }
    }
}
