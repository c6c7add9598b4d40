//! Sectors, clusters, and how a request falls into them.

use super::DiskError;

#[cfg(test)]
mod tests;

/// Bytes of a sector, the unit of every request and of every bit in a map.
pub const SECTOR_BYTES: u64 = 512;

/// One bit per sector of a cluster; the lowest bit is its first sector.
pub(super) type Mask = u128;

/// Sectors per cluster: a power of two from 8 to 128, so that 128 bits cover a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterSize {
    shift: u32,
}

impl ClusterSize {
    /// A cluster of this many bytes.
    ///
    /// # Errors
    ///
    /// [`DiskError::Cluster`].
    pub fn from_bytes(bytes: u64) -> Result<Self, DiskError> {
        match bytes.is_power_of_two() && (4096..=65536).contains(&bytes) {
            true => Ok(Self { shift: (bytes / SECTOR_BYTES).trailing_zeros() }),
            false => Err(DiskError::Cluster { bytes }),
        }
    }

    /// Bytes of a cluster.
    #[must_use]
    pub fn bytes(self) -> u64 {
        SECTOR_BYTES << self.shift
    }

    /// Sectors of a cluster.
    #[must_use]
    pub fn sectors(self) -> u64 {
        1 << self.shift
    }
}

impl Default for ClusterSize {
    /// 64 KiB.
    fn default() -> Self {
        Self { shift: 7 }
    }
}

/// The part of a request that lies in one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Which cluster of the disk.
    pub(super) cluster: u64,
    /// First sector within it.
    pub(super) first: u32,
    /// How many sectors.
    pub(super) sectors: u32,
}

impl Piece {
    /// Its sectors as bits.
    pub(super) fn mask(self) -> Mask {
        Mask::MAX >> (Mask::BITS - self.sectors) << self.first
    }
}

/// The most clusters that a disk may have: 256 TiB of the largest, 16 TiB of the smallest.
const CLUSTERS_MAX: u64 = 1 << 32;

/// The shape of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Its size in sectors.
    pub(super) sectors: u64,
    /// Its clusters.
    pub(super) cluster: ClusterSize,
}

impl Geometry {
    /// Whether there can be such a disk.
    pub(super) fn is_sound(self) -> bool {
        (1..=CLUSTERS_MAX).contains(&self.clusters())
    }

    /// How many clusters there are; the last may stand out over the end of the disk.
    pub(super) fn clusters(self) -> u64 {
        self.sectors.div_ceil(self.cluster.sectors())
    }

    /// The bits of those sectors of a cluster that are on the disk.
    pub(super) fn on_disk(self, cluster: u64) -> Mask {
        let first = cluster.saturating_mul(self.cluster.sectors());
        match self.sectors.saturating_sub(first).min(self.cluster.sectors()) as u32 {
            0 => 0,
            sectors => Piece { cluster, first: 0, sectors }.mask(),
        }
    }

    /// The sector of the disk that is sector `within` of a cluster.
    pub(super) fn sector(self, cluster: u64, within: u32) -> u64 {
        cluster * self.cluster.sectors() + u64::from(within)
    }

    /// Cuts a request at the borders of clusters.
    ///
    /// # Errors
    ///
    /// [`DiskError::Range`] when it is not within the disk.
    pub(super) fn pieces(
        self,
        first: u64,
        count: u64,
    ) -> Result<impl Iterator<Item = Piece>, DiskError> {
        let end = first
            .checked_add(count)
            .filter(|end| *end <= self.sectors)
            .ok_or(DiskError::Range { first, count, sectors: self.sectors })?;
        let per_cluster = self.cluster.sectors();
        let mut at = first;
        Ok(std::iter::from_fn(move || {
            (at < end).then(|| {
                let within = at % per_cluster;
                let sectors = (per_cluster - within).min(end - at);
                let piece = Piece {
                    cluster: at / per_cluster,
                    first: within as u32,
                    sectors: sectors as u32,
                };
                at += sectors;
                piece
            })
        }))
    }
}

/// The runs of set bits in a mask: first bit and length of each.
pub(super) fn runs(mut mask: Mask) -> impl Iterator<Item = (u32, u32)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        (mask != 0).then(|| {
            let skip = mask.trailing_zeros();
            mask >>= skip;
            let length = mask.trailing_ones();
            let run = (at + skip, length);
            mask = mask.checked_shr(length).unwrap_or(0);
            at += skip + length;
            run
        })
    })
}
